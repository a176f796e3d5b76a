package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.director.EngineEvents;
import io.ballast.director.ForwardingEngine;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The engine {@code xdp} with its program in the kernel but at no interface, for measuring: what services are is said
 * through {@link #engine}, and packets come from nowhere, by the kernel's test run. Its clock is the kernel's own, the
 * packet is restored between runs, and next to it stand floors: programs of the same frame and loop that do the least
 * there is to do.
 *
 * <p>Every server's next hop is known, and packets leave by the interface that they came by. For one thread.
 */
public final class XdpBenchmark implements AutoCloseable {
    /** Where packets of {@link #packets} go; a service has to listen there. */
    public static final InetAddress VIP4 = InetAddress.ofLiteral("192.0.2.1");

    /** The same of IPv6. */
    public static final InetAddress VIP6 = InetAddress.ofLiteral("2001:db8:1::1");

    /** And this port, of TCP. */
    public static final int PORT = 80;

    /** As many clients as there are numbers: each packet is another's. */
    public static final int NEW_EACH_TIME = 0;

    private static final int LOOPBACK = 1;
    private static final int MTU = 1500;
    static final int MASK = 0;
    static final int LAST = 4;
    private static final int VERDICTS = 8;
    private static final int SYN = 0x02;
    private static final int ACK = 0x10;

    /** The least there is to do. */
    public enum Floor {
        /** New MAC addresses. */
        TRANSMIT("floor_tx"),
        /** A header of IPv4 with constant fields in front. */
        ENCAPSULATE("floor_ipip");

        private final String program;

        Floor(String program) {
            this.program = program;
        }
    }

    /**
     * How much there is room for.
     *
     * @param services at a time
     * @param servers of all services together; a service takes numbers for twice as many as it has, and at least 8
     * @param tables of 65,537 slots
     * @param connections to remember; rounded up to a power of two
     */
    public record Room(int services, int servers, int tables, int connections) {
        DataPlane.Sizes sizes() {
            int places = Integer.highestOneBit(Math.max(Layout.WAYS, connections - 1)) * 2;
            return new DataPlane.Sizes(
                    services + 1,
                    services + 1,
                    servers,
                    services + tables * (1 + (65_537 / Layout.LINE)),
                    services + servers / Layout.LINE,
                    places / Layout.WAYS);
        }
    }

    private final DataPlane plane;
    private final XdpEngine engine;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment variables;
    private final MemorySegment opening4 = frame(false, SYN);
    private final MemorySegment going4 = frame(false, ACK);
    private final MemorySegment greeted4 = withMss(opening4);
    private final MemorySegment opening6 = frame(true, SYN);
    private final MemorySegment going6 = frame(true, ACK);
    private final List<String> complaints = new ArrayList<>();

    private XdpBenchmark(DataPlane plane, int interfaceIndex) throws IOException {
        this.plane = plane;
        variables = plane.variables();
        engine = new XdpEngine(plane, new OnTheLink(interfaceIndex), new Complaints(), System::nanoTime);
    }

    /**
     * Loads the program.
     *
     * @throws IOException this build has no engine xdp, or the kernel refuses it; the message says why
     */
    public static XdpBenchmark open(Room room) throws IOException {
        return open(room, LOOPBACK);
    }

    /** Packets leave by this interface. */
    static XdpBenchmark open(Room room, int interfaceIndex) throws IOException {
        return new XdpBenchmark(DataPlane.load("bench", room.sizes(), DataPlane.Features.NONE, 1), interfaceIndex);
    }

    BpfProgram program(String name) throws IOException {
        return plane.program(name);
    }

    /** The struct {@code bench} of bench.bpf.c. */
    MemorySegment variables() {
        return variables;
    }

    /** A client's packet of IPv4 that belongs to a connection. */
    MemorySegment frame() {
        return going4;
    }

    /** The engine, to be told what services are. */
    public ForwardingEngine engine() {
        return engine;
    }

    /** Why services are not in the data plane, as the engine said it; empty where all are. */
    public List<String> complaints() {
        return List.copyOf(complaints);
    }

    /** Lets the engine do what has become due, as the daemon does every second. */
    public void tick() {
        engine.tick();
    }

    /** Bytes of kernel memory that the tables take. */
    public long memory() throws IOException {
        return plane.memory();
    }

    /** How many connections are remembered. */
    public int remembered() {
        int[] count = {0};
        plane.flows(endpoint -> true, flow -> ++count[0] > 0);
        return count[0];
    }

    /** How many of them are established. */
    int established() {
        int[] count = {0};
        plane.flows(endpoint -> true, flow -> (count[0] += flow.state() == Layout.ESTABLISHED ? 1 : 0) >= 0);
        return count[0];
    }

    /** Forgets every connection, without counting it out of its server's load: install the services anew. */
    public void forget() throws IOException {
        run("forget", going4, plane.sizes().buckets());
    }

    /**
     * Runs a floor.
     *
     * @return mean nanoseconds a packet
     */
    public double floor(Floor floor, int count) throws IOException {
        return sent(floor.program, going4, 1, count);
    }

    /**
     * Runs packets of TCP through the program.
     *
     * @param ipv6 to {@link #VIP6} rather than {@link #VIP4}
     * @param opening whether they are SYNs, or belong to connections
     * @param clients who take turns, a power of two; the same ones each time; {@link #NEW_EACH_TIME} for others
     * @return mean nanoseconds a packet
     * @throws IOException also when a packet was not sent to a server
     */
    public double packets(boolean ipv6, boolean opening, int clients, int count) throws IOException {
        if (Integer.bitCount(clients) > 1) {
            throw new IllegalArgumentException(clients + " clients: the number must be a power of two");
        }
        return ipv6
                ? sent("bench6", opening ? opening6 : going6, clients, count)
                : sent("bench4", opening ? opening4 : going4, clients, count);
    }

    /**
     * Runs datagrams to {@link #VIP4} through the program; a service has to listen there on {@link #PORT} of UDP.
     *
     * @param clients who take turns, a power of two; the same ones each time
     * @return mean nanoseconds a packet
     * @throws IOException also when a packet was not sent to a server
     */
    public double datagrams(byte[] datagram, int clients, int count) throws IOException {
        return sent("bench4", frame(datagram), clients, count);
    }

    /**
     * Runs SYNs to {@link #VIP4}, each of another client; the service has to answer them with cookies.
     *
     * @return mean nanoseconds a packet
     * @throws IOException also when a SYN was not answered
     */
    public double greeted(int count) throws IOException {
        return sent("bench_syn", greeted4, NEW_EACH_TIME, count);
    }

    private double sent(String program, MemorySegment frame, int clients, int count) throws IOException {
        variables.set(ValueLayout.JAVA_INT, MASK, clients - 1);
        if (clients != NEW_EACH_TIME) {
            variables.set(ValueLayout.JAVA_INT, LAST, 0);
        }
        long before = verdicts(XdpAction.TX);
        double nanos = run(program, frame, count);
        long sent = verdicts(XdpAction.TX) - before;
        if (sent != count) {
            throw new IOException(program + ": of " + count + " packets only " + sent + " were sent");
        }
        return nanos;
    }

    private long verdicts(XdpAction action) {
        return variables.get(ValueLayout.JAVA_LONG, VERDICTS + 8L * action.number());
    }

    private double run(String name, MemorySegment frame, int count) throws IOException {
        try (BpfProgram program = plane.program(name)) {
            return program.testRun(TestRun.of(frame).times(count)).nanos();
        }
    }

    /** A client's packet of TCP without data; its checksums are wrong, but nobody looks at them. */
    private MemorySegment frame(boolean ipv6, int flags) {
        byte[] mac = new byte[12];
        byte[] vip = (ipv6 ? VIP6 : VIP4).getAddress();
        byte[] client = new byte[vip.length];
        client[0] = (byte) (ipv6 ? 0x20 : 10); // client 0 of bench.bpf.c
        ByteBuffer frame = ByteBuffer.allocate(128).put(mac);
        if (ipv6) {
            frame.putShort((short) 0x86dd)
                    .putInt(0x6000_0000)
                    .putShort((short) 26)
                    .put((byte) 6)
                    .put((byte) 64);
        } else {
            frame.putShort((short) 0x0800).putInt(0x4500_002e).putInt(0x4000).putInt(0x4006_0000);
        }
        frame.put(client).put(vip).putShort((short) 1024).putShort((short) PORT).putLong(0);
        frame.putShort((short) (0x5000 | flags)).putShort((short) 512).putInt(0).put(new byte[6]);
        return arena.allocateFrom(ValueLayout.JAVA_BYTE, Arrays.copyOf(frame.array(), frame.position()));
    }

    /** A SYN of IPv4 with an MSS and nothing behind it. */
    private MemorySegment withMss(MemorySegment syn) {
        ByteBuffer frame = ByteBuffer.allocate(58).put(syn.asSlice(0, 54).toArray(ValueLayout.JAVA_BYTE));
        frame.putShort(16, (short) 44).put(46, (byte) 0x60).putInt(0x0204_05b4);
        return arena.allocateFrom(ValueLayout.JAVA_BYTE, frame.array());
    }

    /** A client's datagram, with the same addresses and no checksums. */
    private MemorySegment frame(byte[] datagram) {
        int length = 8 + datagram.length;
        byte[] head = going4.asSlice(0, 34).toArray(ValueLayout.JAVA_BYTE);
        ByteBuffer frame = ByteBuffer.allocate(34 + length).put(head);
        frame.putShort(16, (short) (20 + length)).put(23, (byte) 17);
        frame.putShort((short) 1024)
                .putShort((short) PORT)
                .putShort((short) length)
                .putShort((short) 0);
        return arena.allocateFrom(ValueLayout.JAVA_BYTE, frame.put(datagram).array());
    }

    /** Every server on one interface. */
    private static final class OnTheLink implements Hops {
        private final Hop hop;

        OnTheLink(int interfaceIndex) {
            hop = new Hop(new MacAddress(0x0200_0000_0001L), new MacAddress(0x0200_0000_00aaL), interfaceIndex, MTU);
        }

        @Override
        public void soon(Runnable task) {
            task.run();
        }

        @Override
        public void watch(InetAddress server, Listener listener) {
            listener.hop(server, Optional.of(hop));
        }

        @Override
        public void forget(InetAddress server, Listener listener) {}

        @Override
        public Optional<InetAddress> sourceFor(InetAddress server) {
            return Optional.of(server instanceof Inet4Address ? VIP4 : VIP6);
        }
    }

    /** Keeps what the engine cannot do. */
    private final class Complaints implements EngineEvents {
        @Override
        public void listening(String service, Endpoint endpoint) {}

        @Override
        public void notListening(String service, Endpoint endpoint, String reason) {
            complaints.add(service + " " + endpoint + ": " + reason);
        }

        @Override
        public void drained(String service, String server, int closed) {}

        @Override
        public void pressure(boolean on, String reason) {}

        @Override
        public void note(boolean warning, String subject, String message) {
            if (warning) {
                complaints.add(subject + ": " + message);
            }
        }
    }

    @Override
    public void close() {
        engine.close();
        arena.close();
        plane.close();
    }
}
