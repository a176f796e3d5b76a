/** Virtual time: the control loop's double for simulations, in which every run can be repeated exactly. */
@NullMarked
package io.ballast.core.sim;

import org.jspecify.annotations.NullMarked;
