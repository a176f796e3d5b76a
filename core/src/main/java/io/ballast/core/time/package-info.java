/** Time as a parameter: clocks and text forms of durations. */
@NullMarked
package io.ballast.core.time;

import org.jspecify.annotations.NullMarked;
