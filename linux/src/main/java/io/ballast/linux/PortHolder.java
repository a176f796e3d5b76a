package io.ballast.linux;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The process that has a port, found as ss(8) does: /proc/net names the socket's inode, and some process has a
 * descriptor of that inode.
 *
 * @param pid the process
 * @param command its name (comm), at most 15 characters
 */
public record PortHolder(long pid, String command) {
    private static final String LISTEN = "0A";

    /** Who listens on a TCP address, or on the wildcard of its port; empty where nobody does or may not be asked. */
    public static Optional<PortHolder> ofTcp(InetSocketAddress address) {
        return find("tcp", address);
    }

    /** Who has a UDP address, or the wildcard of its port. */
    public static Optional<PortHolder> ofUdp(InetSocketAddress address) {
        return find("udp", address);
    }

    private static Optional<PortHolder> find(String protocol, InetSocketAddress address) {
        // An IPv6 socket that also takes IPv4 stands in IPv4's way, so that table is asked second.
        List<String> tables = address.getAddress() instanceof Inet6Address
                ? List.of(protocol + "6")
                : List.of(protocol, protocol + "6");
        for (String table : tables) {
            try {
                List<String> lines = Files.readAllLines(Path.of("/proc/thread-self/net/" + table));
                Set<String> inodes = inodes(lines, protocol.equals("tcp"), address);
                if (!inodes.isEmpty()) {
                    return holderOf(inodes);
                }
            } catch (IOException e) {
                // The table of a protocol that the kernel lacks; the other one still counts.
            }
        }
        return Optional.empty();
    }

    /** The inodes of the sockets in a /proc/net table that stand in the way of binding the address. */
    static Set<String> inodes(List<String> table, boolean tcp, InetSocketAddress wanted) {
        Set<String> inodes = new HashSet<>();
        for (String line : table.subList(Math.min(1, table.size()), table.size())) {
            String[] columns = line.strip().split("\\s+", -1);
            if (columns.length < 10 || (tcp && !columns[3].equals(LISTEN))) {
                continue;
            }
            InetSocketAddress local = address(columns[1]);
            boolean overlaps = local.getAddress().equals(wanted.getAddress())
                    || local.getAddress().isAnyLocalAddress()
                    || wanted.getAddress().isAnyLocalAddress();
            // Inode 0 is a socket that no process holds any more.
            if (local.getPort() == wanted.getPort() && overlaps && !columns[9].equals("0")) {
                inodes.add(columns[9]);
            }
        }
        return inodes;
    }

    /** {@code 0100007F:0050}: the address as 32-bit words in host order, printed in hexadecimal, and the port. */
    private static InetSocketAddress address(String text) {
        int colon = text.indexOf(':');
        byte[] hex = HexFormat.of().parseHex(text, 0, colon);
        ByteBuffer words = ByteBuffer.wrap(hex);
        ByteBuffer network = ByteBuffer.allocate(hex.length).order(ByteOrder.nativeOrder());
        while (words.hasRemaining()) {
            network.putInt(words.getInt());
        }
        try {
            return new InetSocketAddress(
                    InetAddress.getByAddress(network.array()), Integer.parseInt(text.substring(colon + 1), 16));
        } catch (UnknownHostException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Optional<PortHolder> holderOf(Set<String> inodes) {
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : processes) {
                if (holds(process, inodes)) {
                    String command = Files.readString(process.resolve("comm")).strip();
                    return Optional.of(
                            new PortHolder(Long.parseLong(process.getFileName().toString()), command));
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            // The process ended while it was looked at: then it does not hold the port any more.
        }
        return Optional.empty();
    }

    private static boolean holds(Path process, Set<String> inodes) {
        try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(process.resolve("fd"))) {
            for (Path descriptor : descriptors) {
                String target = linkTarget(descriptor);
                if (target.startsWith("socket:[")
                        && inodes.contains(target.substring("socket:[".length(), target.length() - 1))) {
                    return true;
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            // Another user's process, or one that just ended: not to be looked into.
        }
        return false;
    }

    private static String linkTarget(Path link) {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (IOException e) {
            return ""; // closed meanwhile
        }
    }

    /** {@code nginx, pid 123}. */
    @Override
    public String toString() {
        return command + ", pid " + pid + (pid == ProcessHandle.current().pid() ? " (this process)" : "");
    }
}
