/** What is known of next hops, and what to ask the kernel next: no sockets, threads or clocks. */
@NullMarked
package io.ballast.linux.neighbour.state;

import org.jspecify.annotations.NullMarked;
