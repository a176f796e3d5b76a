/** The probes: one class per protocol, each from connecting to a reason for people. */
@NullMarked
package io.ballast.health.probe;

import org.jspecify.annotations.NullMarked;
