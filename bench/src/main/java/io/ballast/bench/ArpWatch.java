package io.ballast.bench;

import io.ballast.linux.LinuxException;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.RealTime;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/**
 * Hears ARP at the client: who says to have which address, and when it said so first and last. It asks too, in the name of
 * somebody who is not there, so that the client's own table stays as it is.
 */
final class ArpWatch implements AutoCloseable {
    private static final int ARP = 0x0806;
    private static final int FRAME = 42;
    private static final int SENDER_MAC = 22;
    private static final int SENDER_ADDRESS = 28;
    private static final long ETHERNET_IPV4 = 0x0001_0800_0604_0000L;
    private static final int PRIORITY = 61;
    private static final long EVERY = 1_000_000;
    private static final MacAddress NOBODY = new MacAddress(0x0200_0000_00ffL);

    /** Who says to have an address. */
    record Claim(InetAddress address, MacAddress mac) {}

    /** When it was said, and how often. */
    record Heard(long first, long last, int count) {}

    private final NativeSocket socket;
    private final Map<Claim, Heard> claims = new HashMap<>();

    private ArpWatch(NativeSocket socket) {
        this.socket = socket;
    }

    static ArpWatch start(Wiring wiring) throws IOException {
        int link = wiring.link(Wiring.Place.CLIENT).index();
        ArpWatch watch = new ArpWatch(wiring.in(Wiring.Place.CLIENT, () -> NativeSocket.packet(link, ARP)));
        Thread.ofPlatform().name("arp").daemon().start(watch::hear);
        return watch;
    }

    private void hear() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(2048);
        try {
            RealTime.fifo(PRIORITY);
        } catch (LinuxException e) {
            // The probes' threads say so.
        }
        while (true) {
            try {
                socket.read(buffer.clear(), NativeSocket.NO_DEADLINE);
            } catch (IOException e) {
                if (!socket.isOpen()) {
                    return;
                }
                continue; // its interface is away for a moment
            }
            if (buffer.flip().remaining() >= FRAME) {
                note(buffer, System.nanoTime());
            }
        }
    }

    private void note(ByteBuffer frame, long now) {
        byte[] mac = new byte[6];
        byte[] address = new byte[4];
        frame.get(SENDER_MAC, mac).get(SENDER_ADDRESS, address);
        try {
            Claim claim = new Claim(InetAddress.getByAddress(address), MacAddress.of(mac));
            synchronized (claims) {
                claims.merge(claim, new Heard(now, now, 1), (old, _) -> new Heard(old.first(), now, old.count() + 1));
            }
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e); // four bytes always are an address
        }
    }

    /** Forgets what it has heard. */
    void forget() {
        synchronized (claims) {
            claims.clear();
        }
    }

    /** What was said since. */
    Map<Claim, Heard> heard() {
        synchronized (claims) {
            return Map.copyOf(claims);
        }
    }

    /** Asks a director itself for an address, every millisecond for so long. */
    void ask(MacAddress director, InetAddress address, long nanos) throws IOException {
        byte[] frame = ByteBuffer.allocate(FRAME)
                .put(director.bytes())
                .put(NOBODY.bytes())
                .putShort((short) ARP)
                .putLong(ETHERNET_IPV4 | 1)
                .put(NOBODY.bytes())
                .putInt(0) // it has no address: RFC 5227 section 2.1.1
                .put(new byte[6])
                .put(((Inet4Address) address).getAddress())
                .array();
        for (long until = System.nanoTime() + nanos; System.nanoTime() < until; LockSupport.parkNanos(EVERY)) {
            socket.write(ByteBuffer.wrap(frame), NativeSocket.deadlineIn(EVERY));
        }
    }

    @Override
    public void close() {
        socket.close();
    }
}
