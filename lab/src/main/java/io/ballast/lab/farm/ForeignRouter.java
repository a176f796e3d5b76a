package io.ballast.lab.farm;

import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.Inet4Address;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Somebody else's virtual router of IPv4 in the same network, that has the same number by mistake, advertises another
 * address by multicast, and listens to nobody.
 */
final class ForeignRouter {
    /** The highest that is not the addresses' owner's. */
    static final int PRIORITY = 254;

    private static final int ETHERNET = 14;
    private static final int IP = 20;
    private static final byte[] GROUP = {(byte) 224, 0, 0, 18};
    private static final byte[] GROUP_MAC = {1, 0, 0x5e, 0, 0, 18};

    private ForeignRouter() {}

    /** Begins; what ends it fails where it could not send. */
    static Restoring start(
            String namespace, String device, Inet4Address source, Inet4Address address, VirtualRouterSpec like)
            throws IOException {
        try (NetworkNamespace there = NetworkNamespace.named(namespace)) {
            return there.call(() -> {
                Link link;
                try (RouteNetlink netlink = RouteNetlink.open()) {
                    link = netlink.link(device).orElseThrow(() -> new IOException("no interface " + device));
                }
                byte[] frame = frame(Objects.requireNonNull(link.address()), source, address, like);
                NativeSocket socket = NativeSocket.packet(link.index(), 0);
                Sending sending = new Sending(socket, frame, like.interval());
                Thread thread =
                        Thread.ofPlatform().name("foreign router").daemon().start(sending);
                return () -> {
                    thread.interrupt();
                    thread.join();
                    socket.close();
                    IOException failed = sending.failed;
                    if (failed != null) {
                        throw failed;
                    }
                };
            });
        }
    }

    private static final class Sending implements Runnable {
        private final NativeSocket socket;
        private final byte[] frame;
        private final Duration interval;
        private volatile @Nullable IOException failed;

        Sending(NativeSocket socket, byte[] frame, Duration interval) {
            this.socket = socket;
            this.frame = frame;
            this.interval = interval;
        }

        @Override
        public void run() {
            try {
                while (true) {
                    socket.write(ByteBuffer.wrap(frame), NativeSocket.NO_DEADLINE);
                    Thread.sleep(interval);
                }
            } catch (IOException e) {
                failed = e;
            } catch (InterruptedException e) {
                // It is over.
            }
        }
    }

    /** An advertisement (RFC 9568 section 5, RFC 3768 section 5), as a frame. */
    static byte[] frame(MacAddress mac, Inet4Address source, Inet4Address address, VirtualRouterSpec like) {
        boolean old = like.version() == 2;
        int length = old ? 20 : 12; // version 2 has eight bytes of authentication
        ByteBuffer frame = ByteBuffer.allocate(ETHERNET + IP + length);
        frame.put(GROUP_MAC).put(mac.bytes()).putShort((short) 0x0800);
        frame.put((byte) 0x45).put((byte) 0xc0).putShort((short) (IP + length));
        frame.putInt(0).put((byte) 255).put((byte) 112).putShort((short) 0);
        frame.put(source.getAddress()).put(GROUP);
        frame.put((byte) (like.version() << 4 | 1)).put((byte) like.routerId());
        frame.put((byte) PRIORITY).put((byte) 1);
        frame.putShort(
                (short) (old ? like.interval().toSeconds() : like.interval().toMillis() / 10));
        frame.putShort((short) 0).put(address.getAddress());
        frame.putShort(ETHERNET + 10, (short) ~sum(frame, ETHERNET, IP, 0));
        // Version 3: with source, destination, protocol and length before it.
        int pseudo = old ? 0 : sum(frame, ETHERNET + 12, 8, 112 + length);
        frame.putShort(ETHERNET + IP + 6, (short) ~sum(frame, ETHERNET + IP, length, pseudo));
        return frame.array();
    }

    /** In ones' complement (RFC 1071). */
    private static int sum(ByteBuffer of, int from, int length, int before) {
        int sum = before;
        for (int i = from; i < from + length; i += 2) {
            sum += Short.toUnsignedInt(of.getShort(i));
        }
        while (sum > 0xffff) {
            sum = (sum & 0xffff) + (sum >>> 16);
        }
        return sum;
    }
}
