/**
 * The next hops of a set of servers, kept current for an engine that writes Ethernet headers itself. Begin with
 * {@link io.ballast.linux.neighbour.Neighbours}.
 */
@NullMarked
package io.ballast.linux.neighbour;

import org.jspecify.annotations.NullMarked;
