@NullMarked
package io.ballast.linux.neighbour.state;

import org.jspecify.annotations.NullMarked;
