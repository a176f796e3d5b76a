package io.ballast.lab.topology;

import java.net.InetSocketAddress;
import java.util.List;

/**
 * A program of the lab that sends datagrams back: the real server of a UDP service.
 *
 * @param name with which each of its answers begins
 * @param node where it runs
 * @param listen where it takes datagrams; the addresses of services among them may come later than the program
 */
public record Echo(String name, String node, List<InetSocketAddress> listen) {
    /** What it answers to this. */
    public static String answer(String name, String datagram) {
        return name + ": " + datagram;
    }
}
