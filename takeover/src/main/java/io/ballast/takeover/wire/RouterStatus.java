package io.ballast.takeover.wire;

import io.ballast.takeover.track.Tracking;
import io.ballast.takeover.vrrp.Discard;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.net.InetAddress;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * How a virtual router stands on this node.
 *
 * @param since when the role began
 * @param why what it is due to
 * @param priority now
 * @param manner what the operator wants of it
 * @param master whom a backup hears, or this node's own address where it is master
 * @param peers who has been heard, with what was heard last
 * @param sent advertisements
 * @param unsent advertisements that the kernel could not send
 * @param discarded what came and was not listened to, by reason
 * @param notices what else is wrong among the peers, each said once
 * @param transitions the last ones, the newest last
 * @param jitter of the master's advertisements, as a backup sees them arrive
 * @param silences how long nothing had been heard of a master when this node took over from it
 * @param group what those have in common that move with it; empty where it moves alone
 * @param described the priority of the description
 * @param unable why this node has nothing to serve at the addresses; empty where it has
 * @param tracked what it depends on, with what that adds to the priority
 * @param faults why this node must not have the addresses; empty where it may
 * @param holds whether it has the addresses: a master may still be waiting for something that they depend on
 * @param waitsFor what that is, for people; empty where nothing is waited for
 * @param strays what has come here for the addresses since they went to another node
 */
public record RouterStatus(
        Membership member,
        Role role,
        Instant since,
        String why,
        int priority,
        Manner manner,
        Optional<InetAddress> master,
        Map<InetAddress, Peer> peers,
        long sent,
        long unsent,
        Map<Discard, Long> discarded,
        List<String> notices,
        List<Transition> transitions,
        Jitter jitter,
        Jitter silences,
        String group,
        int described,
        String unable,
        List<Tracking.Standing> tracked,
        List<String> faults,
        boolean holds,
        List<String> waitsFor,
        Optional<Ownership.Strays> strays) {

    /**
     * A node that advertises.
     *
     * @param heard when last
     * @param count advertisements
     */
    public record Peer(int priority, long interval, Instant heard, long count) {}

    /** A change of role. */
    public record Transition(Instant at, Role from, Role to, String why) {}
}
