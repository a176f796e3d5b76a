/**
 * What is believed of a server, and when it is asked next: pure state machines. Time is a parameter, and so is chance;
 * nothing here sleeps, opens or starts anything.
 */
@NullMarked
package io.ballast.health.state;

import org.jspecify.annotations.NullMarked;
