package io.ballast.director.xdp;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.Optional;

/**
 * How packets reach one real server.
 *
 * @param service number of its service
 * @param member its number in the service
 * @param flags of {@link Layout}: READY and the like
 * @param address of the server, or the tunnel's end
 * @param source where a tunnel begins, or the director's address for full NAT; the family of {@code address}
 * @param port where the server takes GUE; for NAT its port, 0 for the one that the client asked for
 * @param hop empty while the next hop is not known
 */
record Target(
        int service, int member, int flags, InetAddress address, InetAddress source, int port, Optional<Hop> hop) {

    /** The sum of those 16-bit words of the tunnel's IPv4 header that never change, as the data plane adds them up. */
    int headerSum() {
        if (!(address instanceof Inet4Address)) {
            return 0;
        }
        // Little-endian, as the machine reads them: a one's complement sum does not mind, as long as all words are
        // alike.
        return 0x45 + sum(address) + sum(source);
    }

    private static int sum(InetAddress address) {
        byte[] bytes = address.getAddress();
        return (bytes[0] & 0xff) + ((bytes[1] & 0xff) << 8) + (bytes[2] & 0xff) + ((bytes[3] & 0xff) << 8);
    }
}
