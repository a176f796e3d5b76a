/** Faults under load, and what the clients saw of them. */
@NullMarked
package io.ballast.lab.drill;

import org.jspecify.annotations.NullMarked;
