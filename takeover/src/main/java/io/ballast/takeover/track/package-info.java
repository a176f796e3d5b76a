/**
 * What virtual routers make of things beside VRRP: priorities and faults by what they track, and several that move
 * together. What is decided here depends on what was told and when, and on nothing else.
 */
@NullMarked
package io.ballast.takeover.track;

import org.jspecify.annotations.NullMarked;
