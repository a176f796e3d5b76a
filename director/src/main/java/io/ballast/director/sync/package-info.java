/**
 * Connections survive their director: what one director's engine remembers of them is told to those that may take its
 * addresses over. {@link io.ballast.director.sync.ConnectionSync} is where to begin.
 */
@NullMarked
package io.ballast.director.sync;

import org.jspecify.annotations.NullMarked;
