package io.ballast.core.config;

import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * Who decides which node has addresses that only one may have, whatever the network is like.
 *
 * @param voters where each of them listens, by name; nodes, and others that do nothing else; at least three
 * @param key the secret that all of them have, where it is written there
 * @param keyFile where it is, mode 600, on each machine; one of both is there
 * @param port of UDP, where each of them listens
 * @param lease how long a node has what most of them have given it, without asking again
 * @param virtualRouters whose addresses need a majority; nothing for all of them
 */
public record QuorumSpec(
        SequencedMap<String, InetAddress> voters,
        Optional<String> key,
        Optional<String> keyFile,
        int port,
        Duration lease,
        Optional<List<String>> virtualRouters) {

    /** Whether the addresses of a virtual router need a majority. */
    public boolean covers(String virtualRouter) {
        return virtualRouters.map(names -> names.contains(virtualRouter)).orElse(true);
    }

    /** Without the key. */
    @Override
    public String toString() {
        return "QuorumSpec[voters=" + voters + ", key=" + keyFile.orElse("...") + ", port=" + port + ", lease=" + lease
                + ", virtualRouters=" + virtualRouters + "]";
    }
}
