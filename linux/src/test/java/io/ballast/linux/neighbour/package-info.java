@NullMarked
package io.ballast.linux.neighbour;

import org.jspecify.annotations.NullMarked;
