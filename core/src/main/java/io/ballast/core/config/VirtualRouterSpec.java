package io.ballast.core.config;

import io.ballast.core.config.NodeSpec.Cidr;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * One virtual router: addresses that one of several nodes has, and another takes over when it fails (VRRP). With
 * addresses of both families it is one virtual router of the protocol for each, of the same number.
 *
 * @param routerId the number in the protocol (VRID), 1 to 255
 * @param addresses that go to whoever is master, with the prefix length that they get there; at least one
 * @param nodes who takes part, by the node's name, in the file's order
 * @param version of VRRP, 2 or 3; 2 only with IPv4
 * @param interval between advertisements: with version 3 hundredths of a second up to 40.95 s, with 2 whole seconds up to
 *     255 s
 * @param preempt whether a master of lower priority is replaced
 * @param preemptDelay for how long such a one is left alone at first
 * @param unicast whether advertisements go to the other nodes' own addresses, instead of multicast
 * @param virtualMac whether the addresses have an Ethernet address of their own, which goes with them
 * @param checksum of what is sent with version 3 over IPv4; both kinds are understood
 * @param password with version 2 only; 1 to 8 characters of ASCII
 * @param authenticationHeader whether the password, which is sent in clear otherwise, is the key of an authentication header
 * @param hmac by what nodes sign their advertisements; nothing where they do not
 * @param lookAhead how much is queued in the kernel at any time, so how long the daemon may stand still
 * @param announcements of each address at once, when the addresses have come to a node
 * @param announceAgain when all of them are sent once more; zero means never
 * @param hooks told what a node has become to it
 * @param track what it depends on beside its own network, each thing once
 * @param group the name that all virtual routers have in common which move together; empty of one that moves alone
 * @param accept whether programs on the master get what is sent to the addresses; on their owner they always do
 * @param routes that the master has; each goes with the addresses of its family
 */
public record VirtualRouterSpec(
        String name,
        int routerId,
        List<Cidr> addresses,
        SequencedMap<String, Member> nodes,
        int version,
        Duration interval,
        boolean preempt,
        Duration preemptDelay,
        boolean unicast,
        boolean virtualMac,
        Checksum checksum,
        Optional<String> password,
        boolean authenticationHeader,
        Optional<HmacSpec> hmac,
        Duration lookAhead,
        int announcements,
        Duration announceAgain,
        NotifySpec hooks,
        List<TrackSpec> track,
        Optional<String> group,
        boolean accept,
        List<RouteSpec> routes) {
    /** The priority of the node whose own addresses they are. */
    public static final int OWNER = 255;

    /**
     * A node's part in it.
     *
     * @param interfaceName where it advertises and gets the addresses; one of the node's
     * @param priority 1 to 255: of those that are there, the highest is master; {@link #OWNER} is always
     */
    public record Member(String interfaceName, int priority) {}

    /**
     * Signatures of advertisements.
     *
     * @param keys the first one signs, all are accepted; at least one
     * @param window of time in which a signature is good; without it three intervals, and 5 s at least
     */
    public record HmacSpec(List<KeySpec> keys, Mode mode, Replay replay, Optional<Duration> window) {
        /** What is sent, and what is accepted without a signature. */
        public enum Mode {
            /** Nothing is signed, everything is accepted that is not signed wrongly. */
            RECEIVE_ONLY("receive-only"),
            /** Everything is signed, and what is not is accepted. */
            PERMISSIVE("permissive"),
            /** Everything is signed, and what is not is not accepted. */
            ENFORCE("enforce");

            private final String yamlName;

            Mode(String yamlName) {
                this.yamlName = yamlName;
            }

            /** The name in {@code ballast.yaml}. */
            public String yamlName() {
                return yamlName;
            }
        }

        /** What keeps old advertisements from being heard again. */
        public enum Replay {
            /** The time at which they were signed, which is in the window, and grows. */
            TIME("time"),
            /** That it grows, of each sender: clocks of nodes may differ. */
            MONOTONIC("monotonic");

            private final String yamlName;

            Replay(String yamlName) {
                this.yamlName = yamlName;
            }

            /** The name in {@code ballast.yaml}. */
            public String yamlName() {
                return yamlName;
            }
        }
    }

    /**
     * A key of signatures.
     *
     * @param id 1 to 255
     * @param file with the key, mode 600
     */
    public record KeySpec(int id, String file) {}

    /**
     * What hears that a node has become another to it.
     *
     * @param master the program to run when the node gets the addresses
     * @param backup when another has them, or is about to
     * @param fault when the node must not have them, as something is missing
     * @param stop when the node takes no part any more
     * @param fifo a named pipe that gets every change as a line
     */
    public record NotifySpec(
            Optional<String> master,
            Optional<String> backup,
            Optional<String> fault,
            Optional<String> stop,
            Optional<String> fifo) {}

    /**
     * A thing whose state adds to the priority of a node, or keeps it from having the addresses.
     *
     * @param name of the interface, service or process, or the path of the file
     * @param weight from -253 to 253: added while it is up, if positive, and while it is down, if negative; 0 means that
     *     the node must not have the addresses while it is down
     * @param reverse whether what would be added is subtracted, and to be up is what must not be
     * @param perServer of a service: whether the weight counts once for each of its servers that are up
     */
    public record TrackSpec(Kind kind, String name, int weight, boolean reverse, boolean perServer) {
        /** What kind of thing it is. */
        public enum Kind {
            /** A network interface of the node: up while it is switched on and has a link. */
            INTERFACE("interfaces"),
            /** A service: up while one of its servers is. */
            SERVICE("services"),
            /** A file with a number in it. */
            FILE("files"),
            /** A program: up while a process of that name runs. */
            PROCESS("processes");

            private final String yamlName;

            Kind(String yamlName) {
                this.yamlName = yamlName;
            }

            /** Where things of this kind stand in {@code ballast.yaml}. */
            public String yamlName() {
                return yamlName;
            }
        }

        /** For people, and different of any two things: {@code interface eth1}. */
        public String label() {
            return perServer ? "servers of " + name : kind.name().toLowerCase(Locale.ROOT) + " " + name;
        }

        @Override
        public String toString() {
            return label() + " weight " + weight + (reverse ? " reverse" : "");
        }
    }

    /**
     * A route that goes with the addresses.
     *
     * @param to a network
     * @param via the next router; without it the network is on the interface
     * @param device the interface; without it the one that the addresses are on
     * @param table its number
     * @param metric of routes to one network the lowest counts
     * @param source what the node's own packets come from
     */
    public record RouteSpec(
            Cidr to,
            Optional<InetAddress> via,
            Optional<String> device,
            int table,
            int metric,
            Optional<InetAddress> source) {
        /** Of which family it is. */
        public boolean ipv6() {
            return to.address() instanceof Inet6Address;
        }

        /** As {@code ip route} has it. */
        @Override
        public String toString() {
            return to
                    + via.map(address -> " via " + Addresses.print(address)).orElse("")
                    + device.map(name -> " dev " + name).orElse("")
                    + (table == 254 ? "" : " table " + table)
                    + (metric == 0 ? "" : " metric " + metric)
                    + source.map(address -> " src " + Addresses.print(address)).orElse("");
        }
    }

    /** What the checksum of version 3 over IPv4 counts. */
    public enum Checksum {
        /** The pseudo header of IPv4 as well, as keepalived and FRR have it. */
        PSEUDO_HEADER("pseudo-header"),
        /** The message alone. */
        RFC9568("rfc9568");

        private final String yamlName;

        Checksum(String yamlName) {
            this.yamlName = yamlName;
        }

        /** The name in {@code ballast.yaml}. */
        public String yamlName() {
            return yamlName;
        }
    }

    /** The addresses of one family. */
    public List<Cidr> addresses(boolean ipv6) {
        return addresses.stream()
                .filter(cidr -> cidr.address() instanceof Inet6Address == ipv6)
                .toList();
    }

    /** Whether the address is one that goes to whoever is master. */
    public boolean hasAddress(InetAddress address) {
        return addresses.stream().anyMatch(cidr -> cidr.address().equals(address));
    }

    /** Without the password. */
    @Override
    public String toString() {
        return String.format(
                Locale.ROOT,
                "VirtualRouterSpec[name=%s, routerId=%d, addresses=%s, nodes=%s, version=%d, interval=%s, preempt=%s,"
                        + " preemptDelay=%s, unicast=%s, virtualMac=%s, checksum=%s, password=%s,"
                        + " authenticationHeader=%s, hmac=%s, lookAhead=%s, announcements=%d, announceAgain=%s, hooks=%s, track=%s, group=%s,"
                        + " accept=%s, routes=%s]",
                name,
                routerId,
                addresses,
                nodes,
                version,
                interval,
                preempt,
                preemptDelay,
                unicast,
                virtualMac,
                checksum,
                password.isPresent() ? "..." : "none",
                authenticationHeader,
                hmac.map(HmacSpec::toString).orElse("none"),
                lookAhead,
                announcements,
                announceAgain,
                hooks,
                track,
                group.orElse("none"),
                accept,
                routes);
    }
}
