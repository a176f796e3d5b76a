package io.ballast.lab.topology;

import java.net.InetSocketAddress;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;

/**
 * What one web server of the lab serves.
 *
 * @param name the server's name, with which each of its pages begins; {@code sorry} for a sorry server
 * @param node where it runs
 * @param listen on which addresses
 * @param everywhere the ports among them on which it listens at every address of the node, those to come included
 * @param pages by path; always one for {@code /}
 */
public record Site(
        String name,
        String node,
        List<InetSocketAddress> listen,
        Set<Integer> everywhere,
        SequencedMap<String, Page> pages) {

    /** The name of a sorry server's site. */
    public static final String SORRY = "sorry";

    /** The addresses that it listens on one by one. */
    public List<InetSocketAddress> single() {
        return listen.stream().filter(a -> !everywhere.contains(a.getPort())).toList();
    }

    /** Whether it is a sorry server. */
    public boolean sorry() {
        return name.equals(SORRY);
    }

    /**
     * One page.
     *
     * @param status of the answer
     * @param text the body
     */
    public record Page(int status, String text) {}
}
