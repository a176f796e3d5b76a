/** Tests of the whole program. */
@NullMarked
package io.ballast.dist;

import org.jspecify.annotations.NullMarked;
