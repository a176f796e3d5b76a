package io.ballast.director;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Endpoint;
import io.ballast.director.scheduler.FlowKey;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which connections are meant. It is applied where the connections are, so that those that are not meant do not travel.
 *
 * @param service its name; empty for every service
 * @param clients empty for every client
 * @param server the real server's name; empty for every server
 * @param phase empty for every phase
 * @param protocol empty for both
 */
public record ConnectionFilter(
        String service,
        Optional<Clients> clients,
        String server,
        Optional<Phase> phase,
        Optional<Endpoint.Protocol> protocol) {

    /** Every connection of a service; of all services where it is empty. */
    public static ConnectionFilter of(String service) {
        return new ConnectionFilter(service, Optional.empty(), "", Optional.empty(), Optional.empty());
    }

    /** Whether every connection is meant. */
    public boolean isEverything() {
        return equals(of(""));
    }

    /** How far a connection is, in the words that every engine has. */
    public enum Phase {
        /** The client has asked, and has no server yet or nothing has been said. */
        OPENING,
        /** Both sides may speak; also a UDP flow. */
        ESTABLISHED,
        /** One side has ended. */
        CLOSING;

        /** The word at the control API. */
        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * Clients by address, and by port where one is given. Addresses are of IPv6 form, as {@link FlowKey} has them.
     *
     * @param prefix how many of the 128 bits count
     * @param port 0 for every port
     */
    public record Clients(long high, long low, int prefix, int port) {
        private static final int IPV6_BITS = 128;
        private static final int IPV4_BITS = 32;
        private static final Pattern BRACKETS =
                Pattern.compile("\\[([0-9a-fA-F:.]+)(?:/([0-9]{1,3}))?](?:/([0-9]{1,3}))?(?::([0-9]{1,5}))?");
        private static final Pattern IPV4 = Pattern.compile("([0-9.]+)()(?:/([0-9]{1,3}))?(?::([0-9]{1,5}))?");
        private static final Pattern IPV6 = Pattern.compile("([0-9a-fA-F:.]+)()(?:/([0-9]{1,3}))?()");

        /**
         * Reads {@code ADDRESS[/PREFIX][:PORT]}, an IPv6 address with a port in brackets.
         *
         * @throws IllegalArgumentException what is wrong, for people
         */
        public static Clients parse(String text) {
            for (Pattern form : new Pattern[] {BRACKETS, IPV4, IPV6}) {
                Matcher parts = form.matcher(text);
                if (parts.matches()) {
                    return of(text, parts);
                }
            }
            throw wrong(text, "");
        }

        private static Clients of(String text, Matcher parts) {
            InetAddress address = Addresses.parse(parts.group(1)).orElseThrow(() -> wrong(text, ""));
            boolean ipv4 = address instanceof Inet4Address;
            int bits = ipv4 ? IPV4_BITS : IPV6_BITS;
            String given = parts.group(3) == null ? parts.group(2) : parts.group(3);
            int prefix = given == null || given.isEmpty() ? bits : Integer.parseInt(given);
            if (prefix > bits) {
                throw wrong(text, ": its prefix is longer than " + bits);
            }
            String port = parts.group(4);
            int number = port == null || port.isEmpty() ? 0 : Integer.parseInt(port);
            if (number > 65_535 || (number == 0 && port != null && !port.isEmpty())) {
                throw wrong(text, ": " + port + " is no port (1 to 65535)");
            }
            FlowKey key = FlowKey.of(address.getAddress(), 0, address.getAddress());
            return new Clients(key.sourceHigh(), key.sourceLow(), prefix + IPV6_BITS - bits, number);
        }

        private static IllegalArgumentException wrong(String text, String why) {
            return new IllegalArgumentException(
                    "client \"" + text + "\"" + why + "; expected ADDRESS[/PREFIX][:PORT], for instance 192.0.2.7,"
                            + " 192.0.2.0/24, 192.0.2.7:4711 or [2001:db8::7]:4711");
        }

        /** Whether this is one connection's client: a whole address and a port. */
        public boolean isOne() {
            return prefix == IPV6_BITS && port != 0;
        }

        /** Whether a client is meant. */
        public boolean has(long clientHigh, long clientLow, int clientPort) {
            return (port == 0 || port == clientPort)
                    && ((clientHigh ^ high) & mask(prefix)) == 0
                    && ((clientLow ^ low) & mask(prefix - Long.SIZE)) == 0;
        }

        private static long mask(int bits) {
            return bits <= 0 ? 0 : bits >= Long.SIZE ? -1 : -1L << (Long.SIZE - bits);
        }
    }

    /** Whether a client is meant. */
    public boolean hasClient(long high, long low, int port) {
        return clients.isEmpty() || clients.get().has(high, low, port);
    }

    /** Whether a server is meant. */
    public boolean hasServer(String name) {
        return server.isEmpty() || server.equals(name);
    }

    /** Whether a phase is meant. */
    public boolean hasPhase(Phase some) {
        return phase.isEmpty() || phase.get() == some;
    }

    /** Whether a protocol is meant. */
    public boolean hasProtocol(Endpoint.Protocol some) {
        return protocol.isEmpty() || protocol.get() == some;
    }
}
