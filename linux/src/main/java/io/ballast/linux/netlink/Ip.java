package io.ballast.linux.netlink;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;

/** Internet addresses as the kernel has them: a family and bytes. */
final class Ip {
    static final int AF_INET = 2;
    static final int AF_INET6 = 10;

    private Ip() {}

    static int family(InetAddress address) {
        return address instanceof Inet4Address ? AF_INET : AF_INET6;
    }

    static boolean isFamily(int family) {
        return family == AF_INET || family == AF_INET6;
    }

    static int bits(InetAddress address) {
        return address instanceof Inet4Address ? 32 : 128;
    }

    /** Sixteen bytes stay an IPv6 address even where they hold an IPv4 one. */
    static InetAddress of(byte[] bytes) throws MalformedMessageException {
        try {
            return bytes.length == 16 ? Inet6Address.getByAddress(null, bytes, -1) : InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new MalformedMessageException("an address of " + bytes.length + " bytes");
        }
    }

    /** 0.0.0.0 or :: */
    static InetAddress any(int family) throws MalformedMessageException {
        return of(new byte[family == AF_INET6 ? 16 : 4]);
    }
}
