/**
 * The kernel's links, addresses, neighbours and routes, asked for, changed and followed by messages of rtnetlink(7).
 * Begin with {@link io.ballast.linux.netlink.RouteNetlink}.
 */
@NullMarked
package io.ballast.linux.netlink;

import org.jspecify.annotations.NullMarked;
