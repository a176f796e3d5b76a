/** The description of the service and its reader, the control loop, time, events and journal, units. */
@NullMarked
package io.ballast.core;

import org.jspecify.annotations.NullMarked;
