package io.ballast.lab.farm;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;

/**
 * The sockets that listen in a process's network namespace, as the kernel lists them in /proc/PID/net/tcp and udp (proc(5)).
 * So one can wait for a server inside a namespace without connecting to it.
 */
final class ListeningSockets {
    private static final String LISTEN = "0A";
    private static final String CLOSED = "07";

    private ListeningSockets() {}

    /** Their addresses; none where the process has ended. */
    static Set<InetSocketAddress> inNetworkOf(long pid) throws IOException {
        return in(pid, List.of("tcp", "tcp6"), LISTEN);
    }

    /** The same of UDP sockets, of which none listens: those that have an address and no peer. */
    static Set<InetSocketAddress> ofDatagramsInNetworkOf(long pid) throws IOException {
        return in(pid, List.of("udp", "udp6"), CLOSED);
    }

    private static Set<InetSocketAddress> in(long pid, List<String> tables, String state) throws IOException {
        Set<InetSocketAddress> sockets = new HashSet<>();
        for (String table : tables) {
            Path file = Path.of("/proc", Long.toString(pid), "net", table);
            if (Files.exists(file)) {
                // The first line is the heading.
                Files.readAllLines(file).stream().skip(1).forEach(line -> {
                    String[] fields = line.strip().split(" +", 5);
                    if (fields.length > 3 && fields[3].equals(state)) {
                        sockets.add(parse(fields[1], ByteOrder.nativeOrder()));
                    }
                });
            }
        }
        return sockets;
    }

    /** {@code 0100007F:1F90}: words of four bytes in the machine's order, then the port as a number. */
    static InetSocketAddress parse(String text, ByteOrder order) {
        int colon = text.indexOf(':');
        byte[] bytes = HexFormat.of().parseHex(text, 0, colon);
        if (order == ByteOrder.LITTLE_ENDIAN) {
            for (int word = 0; word < bytes.length; word += 4) {
                swap(bytes, word, word + 3);
                swap(bytes, word + 1, word + 2);
            }
        }
        try {
            return new InetSocketAddress(
                    InetAddress.getByAddress(bytes), HexFormat.fromHexDigits(text, colon + 1, text.length()));
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(text, e);
        }
    }

    private static void swap(byte[] bytes, int a, int b) {
        byte kept = bytes[a];
        bytes[a] = bytes[b];
        bytes[b] = kept;
    }
}
