/**
 * VRRP, the Virtual Router Redundancy Protocol: version 2 (RFC 3768) and 3 (RFC 9568). What is decided here depends on
 * what was heard and when, and on nothing else; sockets and clocks are elsewhere.
 */
@NullMarked
package io.ballast.takeover.vrrp;

import org.jspecify.annotations.NullMarked;
