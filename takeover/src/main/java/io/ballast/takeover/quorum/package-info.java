/**
 * Leases of a majority: who may own what only one node may own, whatever the network is like. {@link
 * io.ballast.takeover.quorum.Voter} and {@link io.ballast.takeover.quorum.Candidate} are pure.
 */
@NullMarked
package io.ballast.takeover.quorum;

import org.jspecify.annotations.NullMarked;
