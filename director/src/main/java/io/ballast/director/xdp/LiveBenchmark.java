package io.ballast.director.xdp;

import io.ballast.core.config.Addresses;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.xdp.XdpBenchmark.Room;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Program;
import io.ballast.linux.Sysctl;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.linux.bpf.XdpLink;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The engine {@code xdp} between two virtual wires, for measuring how many real frames a processor forwards:
 *
 * <pre>{@code
 * generator -> near [wire] director -> exit [wire] far -> counted and dropped
 * }</pre>
 *
 * <p>The kernel's test run makes the frames (live frames, 5.18 and newer). It hands them on by dozens and then lets its
 * processor receive them, so generator, director and end share that one, and the rate is what it can do for all three
 * together. What is compared is the program at {@code director}: ours, or one that does nothing but redirect.
 *
 * <p>All of it is in a network namespace without a name, held by this process's descriptors alone: it is gone with the
 * process, however that ends. Needs CAP_SYS_ADMIN. For one thread.
 */
public final class LiveBenchmark implements AutoCloseable {
    private static final int ARRIVED = 72;
    private static final int TO_BALANCER = 80;
    private static final int TO_END = 84;
    private static final int BATCH = 64;
    private static final long NFT_NANOS = 10_000_000_000L;
    /** Where bench.bpf.c sends its frames. */
    private static final MacAddress GENERATED_FOR = new MacAddress(0x0202_0202_0202L);

    private static final InetAddress ROUTER = InetAddress.ofLiteral("198.51.100.1");
    private static final InetAddress SERVER = InetAddress.ofLiteral("198.51.100.2");

    /** What stands at the middle of the way. */
    public enum Middle {
        /** The director. */
        DIRECTOR("live"),
        /** A program that sends everything on as it is. */
        REDIRECT("bare_redirect"),
        /** The kernel, as {@link #translateByNftables} has set it up. */
        KERNEL("to_kernel");

        private final String program;

        Middle(String program) {
            this.program = program;
        }
    }

    /**
     * What came of some frames.
     *
     * @param perSecond frames that arrived, by the clock on the wall
     * @param lost how many of them did not arrive
     */
    public record Rate(double perSecond, long lost) {}

    private final NetworkNamespace namespace;
    private final int near;
    private final XdpBenchmark benchmark;
    private final XdpLink middle;
    private final XdpLink end;

    private LiveBenchmark(NetworkNamespace namespace, Room room) throws IOException {
        this.namespace = namespace;
        near = wire("near", "director");
        int exit = wire("exit", "far");
        benchmark = XdpBenchmark.open(room, exit);
        try {
            benchmark.variables().set(ValueLayout.JAVA_INT, TO_BALANCER, near);
            benchmark.variables().set(ValueLayout.JAVA_INT, TO_END, exit);
            middle = attach(Middle.REDIRECT.program, "director");
            try {
                end = attach("arrive", "far");
            } catch (IOException | RuntimeException e) {
                middle.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            benchmark.close();
            throw e;
        }
    }

    /** Makes the wires and loads the programs. */
    public static LiveBenchmark open(Room room) throws IOException {
        NetworkNamespace namespace = NetworkNamespace.create();
        try {
            return new LiveBenchmark(namespace, room);
        } catch (IOException | RuntimeException e) {
            namespace.close();
            throw e;
        }
    }

    /** The number of the first end. */
    private int wire(String one, String other) throws IOException {
        return namespace.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                netlink.create(new NewLink.Veth(one, other, null));
                for (String device : List.of(one, other)) {
                    netlink.setUp(netlink.link(device).orElseThrow().index(), true);
                }
                return netlink.link(one).orElseThrow().index();
            }
        });
    }

    private XdpLink attach(String name, String device) throws IOException {
        try (BpfProgram program = benchmark.program(name)) {
            return namespace.call(() -> {
                try (RouteNetlink netlink = RouteNetlink.open()) {
                    int index = netlink.link(device).orElseThrow().index();
                    return XdpLink.attach(program, index, device, XdpLink.Mode.NATIVE);
                }
            });
        }
    }

    /** The engine, to be told what services are. */
    public ForwardingEngine engine() {
        return benchmark.engine();
    }

    /** As {@link XdpBenchmark#complaints}. */
    public List<String> complaints() {
        return benchmark.complaints();
    }

    /**
     * Lets the kernel translate what comes for {@link XdpBenchmark#VIP4} and forward it, by a rule of nftables.
     *
     * @param nft the program of that name
     * @throws IOException also with what that program complains about
     */
    public void translateByNftables(Path nft) throws IOException {
        namespace.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                Link director = netlink.link("director").orElseThrow();
                netlink.setAddress(director.index(), GENERATED_FOR);
                int exit = netlink.link("exit").orElseThrow().index();
                Link far = netlink.link("far").orElseThrow();
                netlink.add(Address.of(exit, ROUTER, 24));
                netlink.add(Route.to(new Prefix(InetAddress.ofLiteral("10.0.0.0"), 8), director.index(), null));
                netlink.setNeighbour(exit, SERVER, Objects.requireNonNull(far.address()));
            }
            Sysctl.write("net.ipv4.ip_forward", "1");
            Sysctl.write("net.ipv4.conf.all.rp_filter", "0");
            Sysctl.write("net.ipv4.conf.director.rp_filter", "0");
            String rules = "table ip nat {\nchain pre {\ntype nat hook prerouting priority -100;\nip daddr "
                    + Addresses.print(XdpBenchmark.VIP4) + " tcp dport " + XdpBenchmark.PORT + " dnat to "
                    + Addresses.print(SERVER) + "\n}\n}";
            Program.Result result =
                    Program.run(List.of(nft.toString(), rules), Map.of(), 4096, System.nanoTime() + NFT_NANOS);
            if (result.end() != Program.End.EXITED || result.number() != 0) {
                throw new IOException(nft + ": " + result.errors().strip());
            }
            // The generator's packets have headers that are right, and sums of what follows that are not.
            Sysctl.write("net.netfilter.nf_conntrack_checksum", "0");
            return null;
        });
    }

    /**
     * Sends packets that belong to connections of TCP to {@link XdpBenchmark#VIP4}.
     *
     * @param clients who take turns, a power of two
     * @param frames how many, all of them at once: a call takes as long as they do
     */
    public Rate send(Middle through, int clients, int frames) throws IOException {
        MemorySegment variables = benchmark.variables();
        try (BpfProgram program = benchmark.program(through.program);
                BpfProgram generator = benchmark.program("generate")) {
            middle.update(program);
            variables.set(ValueLayout.JAVA_INT, XdpBenchmark.MASK, clients - 1);
            TestRun run =
                    TestRun.of(benchmark.frame()).from(near, 0).times(frames).live(BATCH);
            long before = variables.get(ValueLayout.JAVA_LONG, ARRIVED);
            double seconds = namespace.call(() -> {
                long begun = System.nanoTime();
                generator.testRun(run);
                return (System.nanoTime() - begun) / 1e9;
            });
            long arrived = variables.get(ValueLayout.JAVA_LONG, ARRIVED) - before;
            return new Rate(arrived / seconds, frames - arrived);
        }
    }

    @Override
    public void close() {
        end.close();
        middle.close();
        benchmark.close();
        namespace.close();
    }
}
