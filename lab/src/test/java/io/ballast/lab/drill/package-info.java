@NullMarked
package io.ballast.lab.drill;

import org.jspecify.annotations.NullMarked;
