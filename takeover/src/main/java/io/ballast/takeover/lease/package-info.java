/**
 * Addresses that a node has only for as long as its daemon is alive. Start at {@link io.ballast.takeover.lease.LeaseGate}.
 */
@NullMarked
package io.ballast.takeover.lease;

import org.jspecify.annotations.NullMarked;
