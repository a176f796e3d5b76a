package io.ballast.linux.netlink;

import io.ballast.core.config.Addresses;
import java.net.InetAddress;

/**
 * The addresses that share their first bits.
 *
 * @param address one of them, usually the one whose other bits are zero
 * @param length how many bits
 */
public record Prefix(InetAddress address, int length) {
    public Prefix {
        if (length < 0 || length > Ip.bits(address)) {
            throw new IllegalArgumentException("/" + length + " behind " + address.getHostAddress());
        }
    }

    /** The prefix that only this address has: /32 or /128. */
    public static Prefix host(InetAddress address) {
        return new Prefix(address, Ip.bits(address));
    }

    /** Whether the address is one of them; one of the other family never is. */
    public boolean contains(InetAddress other) {
        byte[] mine = address.getAddress();
        byte[] theirs = other.getAddress();
        if (mine.length != theirs.length) {
            return false;
        }
        for (int i = 0; i < length; i += 8) {
            int mask = length - i >= 8 ? 0xff : 0xff00 >>> (length - i) & 0xff;
            if (((mine[i / 8] ^ theirs[i / 8]) & mask) != 0) {
                return false;
            }
        }
        return true;
    }

    /** {@code 192.0.2.0/24} */
    @Override
    public String toString() {
        return Addresses.print(address) + "/" + length;
    }
}
