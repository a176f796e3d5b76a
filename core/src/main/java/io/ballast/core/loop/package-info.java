/** The control loop: one thread that owns all mutable control state, and the timers that drive it. */
@NullMarked
package io.ballast.core.loop;

import org.jspecify.annotations.NullMarked;
