package io.ballast.director.sync;

import io.ballast.core.config.Endpoint;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What a director's numbers stand for. Two directors of one description have other numbers for the same things, so that
 * the numbers of {@link Entry entries} mean nothing to another one without these.
 *
 * @param endpoints by number
 * @param servers by number
 */
public record Names(Map<Integer, Where> endpoints, Map<Integer, Server> servers) {
    /** Of a director that serves nothing. */
    public static final Names NONE = new Names(Map.of(), Map.of());

    /** How addresses of an endpoint's connections are translated; other kinds cannot go on with these. */
    public enum Translation {
        /** Not at all. */
        NONE,
        /** The server's. */
        NAT,
        /** The server's and the client's. */
        FULL_NAT
    }

    /**
     * An endpoint of a service.
     *
     * @param endpoint empty for the service's clients, which belong to servers whatever the endpoint
     */
    public record Where(String service, Optional<Endpoint> endpoint, Translation translation) {}

    /** A server of a service, under the address that packets for it are sent to. */
    public record Server(String service, InetSocketAddress address) {}

    /** Copies what it is given. */
    public Names {
        endpoints = Map.copyOf(endpoints);
        servers = Map.copyOf(servers);
    }

    /** From one director's numbers to another's, as far as both have the same things. */
    record Dictionary(Map<Integer, Integer> endpoints, Map<Integer, Integer> servers) {
        static final Dictionary EMPTY = new Dictionary(Map.of(), Map.of());
    }

    /** How to say in these what another director says in its own. */
    Dictionary from(Names other) {
        return new Dictionary(match(other.endpoints, endpoints), match(other.servers, servers));
    }

    private static <T> Map<Integer, Integer> match(Map<Integer, T> theirs, Map<Integer, T> ours) {
        Map<T, Integer> byName = new HashMap<>();
        // Where a service is installed anew beside itself its servers have two numbers; the later ones are to stay.
        ours.forEach((number, name) -> byName.merge(name, number, Math::max));
        Map<Integer, Integer> numbers = new HashMap<>();
        theirs.forEach((number, name) -> {
            Integer mine = byName.get(name);
            if (mine != null) {
                numbers.put(number, mine);
            }
        });
        return numbers;
    }
}
