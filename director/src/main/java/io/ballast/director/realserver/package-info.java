/** The other end of direct routing and tunnels: what a real server needs so that it can answer in a service's name. */
@NullMarked
package io.ballast.director.realserver;

import org.jspecify.annotations.NullMarked;
