package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.director.scheduler.ScheduleTable;
import io.ballast.linux.Capability;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.MacAddress;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;

/** The program in the kernel with tables that a test fills, and frames that come to it from nowhere. */
final class Bench implements AutoCloseable {
    private static final int LOOPBACK = 1;

    /** What the program said, and the frame as it left it. */
    static final class Out {
        private final XdpAction action;
        private final byte[] frame;

        private Out(XdpAction action, byte[] frame) {
            this.action = action;
            this.frame = frame;
        }

        XdpAction action() {
            return action;
        }

        byte[] frame() {
            return frame;
        }
    }

    private final DataPlane plane;
    private final BpfProgram program;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment in = arena.allocate(4096);
    private final MemorySegment out = arena.allocate(8192);
    private final Map<Integer, Target> targets = new HashMap<>();
    private int nextVip = 1;
    private int nextLine;

    private Bench(DataPlane plane) throws IOException {
        this.plane = plane;
        program = plane.program("director");
    }

    /** Skips the test, with the reason, where programs cannot be loaded. */
    static void assumeLoading() throws IOException {
        for (Capability capability : List.of(Capability.BPF, Capability.NET_ADMIN)) {
            Assumptions.assumeTrue(capability.isEffective(), "needs " + capability);
        }
        try {
            DataPlane.object("director");
        } catch (FileNotFoundException e) {
            Assumptions.abort(String.valueOf(e.getMessage()));
        }
    }

    static Bench open() throws IOException {
        return open(0);
    }

    /** Where each processor remembers only so many new connections a second; 0 for any number. */
    static Bench open(int learnedPerSecond) throws IOException {
        return open(16_384, learnedPerSecond);
    }

    /** With so many buckets for connections. */
    static Bench open(int buckets, int learnedPerSecond) throws IOException {
        return open(buckets, learnedPerSecond, 1);
    }

    /** With another secret of the hash. */
    static Bench open(int buckets, int learnedPerSecond, long seed) throws IOException {
        assumeLoading();
        DataPlane.Sizes sizes = new DataPlane.Sizes(64, 64, 4096, 32_768, 1024, buckets);
        return new Bench(DataPlane.load("director", sizes, DataPlane.Features.ALL, seed, learnedPerSecond));
    }

    DataPlane plane() {
        return plane;
    }

    /** The MAC address that the test's server of this number has. */
    static byte[] mac(int server) {
        return new byte[] {2, 0, 0, 1, (byte) (server >> 8), (byte) server};
    }

    /** An endpoint whose table has the servers 0 to {@code servers - 1} in turn; the first of its ranges. */
    int serve(Endpoint where, Vip.Kind kind, int flags, int servers) throws IOException {
        return serve(where, where.single() ? 0 : 1, kind, flags, servers);
    }

    int serve(InetAddress address, int port, Endpoint.Protocol protocol, Vip.Kind kind, int flags, int servers)
            throws IOException {
        return serve(new Endpoint(address, port, protocol), kind, flags, servers);
    }

    int serve(Endpoint where, int range, Vip.Kind kind, int flags, int servers) throws IOException {
        int slots = kind == Vip.Kind.IN_TURN ? servers : 256;
        char[] table = new char[slots];
        for (int slot = 0; slot < slots; slot++) {
            table[slot] = (char) (servers == 0 ? ScheduleTable.NONE : slot % servers);
        }
        int line = nextLine;
        nextLine += 16;
        plane.slots(line, new SlotTable(table));
        plane.endpoint(where, range, new Vip(nextVip++, 0, 0, line, slots, 8, kind, flags, 450, 6700, 900));
        return line;
    }

    /** An endpoint with a single server. */
    void serveOne(Endpoint where, int range, int server, int flags) throws IOException {
        char[] table = new char[16];
        Arrays.fill(table, (char) server);
        int line = nextLine++;
        plane.slots(line, new SlotTable(table));
        plane.endpoint(
                where,
                range,
                new Vip(nextVip++, 0, 0, line, table.length, 4, Vip.Kind.BY_SLOT_OF_HASH, flags, 450, 6700, 900));
    }

    /** A server of service 0 on the link. */
    static Target target(int number, int flags, InetAddress address, InetAddress source, int port, int mtu) {
        return new Target(
                0,
                number,
                flags | Layout.READY | Layout.NEW,
                address,
                source,
                port,
                Optional.of(new Hop(
                        new MacAddress(0x0200_0001_0000L + number), new MacAddress(0x0200_0000_00aaL), LOOPBACK, mtu)));
    }

    void server(int number, int flags, InetAddress address, InetAddress source, int port, int mtu) {
        Target target = target(number, flags, address, source, port, mtu);
        targets.put(number, target);
        plane.server(number, target);
        plane.allow(number, 1, 0);
    }

    /** The server is reached by another interface. */
    void interfaceOf(int number, int index) {
        Target old = Objects.requireNonNull(targets.get(number));
        Hop hop = old.hop().orElseThrow();
        plane.server(
                number,
                new Target(
                        old.service(),
                        old.member(),
                        old.flags(),
                        old.address(),
                        old.source(),
                        old.port(),
                        Optional.of(new Hop(hop.to(), hop.from(), index, hop.mtu()))));
    }

    void flags(int number, int flags) {
        Target old = Objects.requireNonNull(targets.get(number));
        plane.server(
                number,
                new Target(old.service(), old.member(), flags, old.address(), old.source(), old.port(), old.hop()));
    }

    void unready(int number) {
        flags(number, Layout.NEW);
    }

    Out run(byte[] frame) throws IOException {
        MemorySegment.copy(frame, 0, in, ValueLayout.JAVA_BYTE, 0, frame.length);
        TestRun.Result result =
                program.testRun(TestRun.of(in.asSlice(0, frame.length)).into(out));
        return new Out(result.action(), out.asSlice(0, result.length()).toArray(ValueLayout.JAVA_BYTE));
    }

    /** The number of the server whose MAC address the frame goes to. */
    static int serverOf(Out out) {
        return ((out.frame()[4] & 0xff) << 8) | (out.frame()[5] & 0xff);
    }

    List<Load> loads(int count) {
        List<Load> loads = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            loads.add(plane.load(i));
        }
        return loads;
    }

    @Override
    public void close() {
        program.close();
        plane.close();
        arena.close();
    }
}
