package io.ballast.bench;

import io.ballast.linux.LinuxException;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.RealTime;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
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
    private static final int MOST = 1 << 20;
    private static final long EVERY = 1_000_000;
    private static final MacAddress NOBODY = new MacAddress(0x0200_0000_00ffL);

    private static final int BUFFER = 32 << 20;

    /** Who says to have an address. */
    record Claim(InetAddress address, MacAddress mac) {}

    /** When it was said, and how often. */
    record Heard(long first, long last, int count) {}

    private final NativeSocket socket;
    private final long[] times = new long[MOST];
    private final long[] macs = new long[MOST];
    private final int[] addresses = new int[MOST];
    /** Written after the others. */
    private volatile int count;

    private int begin;

    private ArpWatch(NativeSocket socket) {
        this.socket = socket;
    }

    static ArpWatch start(Wiring wiring) throws IOException {
        int link = wiring.link(Wiring.Place.CLIENT).index();
        NativeSocket socket = wiring.in(Wiring.Place.CLIENT, () -> NativeSocket.packet(link, ARP));
        socket.receiveBuffer(BUFFER);
        ArpWatch watch = new ArpWatch(socket);
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

    /** Only remembers: thousands may come at once, and what is not read in time is lost. */
    private void note(ByteBuffer frame, long now) {
        int at = count;
        if (at < MOST) {
            times[at] = now;
            macs[at] = (Short.toUnsignedLong(frame.getShort(SENDER_MAC)) << 32)
                    | Integer.toUnsignedLong(frame.getInt(SENDER_MAC + 2));
            addresses[at] = frame.getInt(SENDER_ADDRESS);
            count = at + 1;
        }
    }

    /** Leaves out what it has heard so far. */
    void forget() {
        begin = count;
    }

    /** What was said since. */
    Map<Claim, Heard> heard() throws IOException {
        Map<Claim, Heard> claims = new HashMap<>();
        int end = count;
        if (end == MOST) {
            throw new IOException("more than " + MOST + " ARP packets came, which is more than are remembered");
        }
        for (int i = begin; i < end; i++) {
            byte[] address = ByteBuffer.allocate(4).putInt(addresses[i]).array();
            long now = times[i];
            claims.merge(
                    new Claim(InetAddress.getByAddress(address), new MacAddress(macs[i])),
                    new Heard(now, now, 1),
                    (old, _) -> new Heard(old.first(), now, old.count() + 1));
        }
        return claims;
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
