package io.ballast.takeover.wire;

import io.ballast.takeover.track.Tracking.Tracked;
import java.util.List;
import java.util.Set;

/**
 * What a virtual router's part on this node depends on beside its own network.
 *
 * @param group the name that those have in common which move together; empty of one that moves alone
 * @param others the described priorities of the other nodes of the group, from which its own must differ
 * @param tracked things by whose state it has another priority, or none of its addresses
 * @param devices the network interfaces among them; they are tracked as {@link #device}
 */
public record Dependence(String group, Set<Integer> others, List<Tracked> tracked, Set<String> devices) {
    /** Of one that moves alone, whatever happens elsewhere. */
    public static final Dependence NONE = new Dependence("", Set.of(), List.of(), Set.of());

    public Dependence {
        others = Set.copyOf(others);
        tracked = List.copyOf(tracked);
        devices = Set.copyOf(devices);
    }

    /** As what a network interface is tracked. */
    public static String device(String name) {
        return "interface " + name;
    }
}
