/**
 * Virtual routers on real interfaces: their advertisements as packets, the thread that keeps their time, and what a change
 * of role means to the machine.
 */
@NullMarked
package io.ballast.takeover.wire;

import org.jspecify.annotations.NullMarked;
