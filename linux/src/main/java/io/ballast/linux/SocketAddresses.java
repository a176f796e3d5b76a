package io.ballast.linux;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** {@code struct sockaddr_in}, {@code sockaddr_in6} and {@code sockaddr_un} to and from Java's addresses, and as text. */
final class SocketAddresses {
    /** Room for any address that the kernel returns here. */
    static final int MAX_SIZE = 112;

    private static final int INET_SIZE = 16;
    private static final int INET6_SIZE = 28;
    private static final int UNIX_PATH = 108;

    private static final ValueLayout.OfShort FAMILY = ValueLayout.JAVA_SHORT;
    private static final ValueLayout.OfShort PORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private SocketAddresses() {}

    static int family(InetAddress address) {
        return address instanceof Inet6Address ? Constants.AF_INET6 : Constants.AF_INET;
    }

    /** Encodes an address; an unresolved one is the caller's mistake. */
    static MemorySegment encode(SegmentAllocator allocator, InetSocketAddress socketAddress) {
        InetAddress address = socketAddress.getAddress();
        if (address == null) {
            throw new IllegalArgumentException("unresolved address: " + socketAddress.getHostString());
        }
        byte[] bytes = address.getAddress();
        MemorySegment segment;
        if (address instanceof Inet6Address inet6) {
            segment = allocator.allocate(INET6_SIZE, 4).fill((byte) 0);
            MemorySegment.copy(bytes, 0, segment, ValueLayout.JAVA_BYTE, 8, 16);
            segment.set(ValueLayout.JAVA_INT, 24, inet6.getScopeId());
        } else {
            segment = allocator.allocate(INET_SIZE, 4).fill((byte) 0);
            MemorySegment.copy(bytes, 0, segment, ValueLayout.JAVA_BYTE, 4, 4);
        }
        segment.set(FAMILY, 0, (short) family(address));
        segment.set(PORT, 2, (short) socketAddress.getPort());
        return segment;
    }

    static InetSocketAddress decode(MemorySegment segment) {
        int port = Short.toUnsignedInt(segment.get(PORT, 2));
        int family = segment.get(FAMILY, 0);
        try {
            if (family == Constants.AF_INET) {
                byte[] bytes = segment.asSlice(4, 4).toArray(ValueLayout.JAVA_BYTE);
                return new InetSocketAddress(InetAddress.getByAddress(bytes), port);
            }
            if (family == Constants.AF_INET6) {
                byte[] bytes = segment.asSlice(8, 16).toArray(ValueLayout.JAVA_BYTE);
                int scope = segment.get(ValueLayout.JAVA_INT, 24);
                // Without a scope the plain factory, which also turns ::ffff:192.0.2.1 into an IPv4 address.
                InetAddress address =
                        scope == 0 ? InetAddress.getByAddress(bytes) : Inet6Address.getByAddress(null, bytes, scope);
                return new InetSocketAddress(address, port);
            }
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e); // only for a wrong array length
        }
        throw new IllegalArgumentException("not an internet address: family " + family);
    }

    /**
     * Encodes a path, or an abstract name where it begins with {@code @} (unix(7)); the segment's size is the exact
     * length of the address, which matters for abstract names.
     */
    static MemorySegment encodeUnix(SegmentAllocator allocator, String path) throws LinuxException {
        byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
        boolean isAbstract = path.startsWith("@");
        int size = isAbstract ? bytes.length : bytes.length + 1;
        if (bytes.length == 0) {
            throw new IllegalArgumentException("empty path of a unix socket");
        }
        if (size > UNIX_PATH) {
            throw new LinuxException(
                    Errno.ENAMETOOLONG.number(), "unix socket", path, "at most " + (UNIX_PATH - 1) + " bytes");
        }
        MemorySegment segment = allocator.allocate(2L + size, 2).fill((byte) 0);
        segment.set(FAMILY, 0, (short) Constants.AF_UNIX);
        MemorySegment.copy(bytes, 0, segment, ValueLayout.JAVA_BYTE, 2, bytes.length);
        if (isAbstract) {
            segment.set(ValueLayout.JAVA_BYTE, 2, (byte) 0);
        }
        return segment;
    }

    /** {@code 192.0.2.1:80} or {@code [2001:db8:0:0:0:0:0:1]:80}. */
    static String text(InetSocketAddress address) {
        InetAddress ip = address.getAddress();
        String host = ip == null ? address.getHostString() : ip.getHostAddress();
        return host.indexOf(':') >= 0 ? "[" + host + "]:" + address.getPort() : host + ":" + address.getPort();
    }
}
