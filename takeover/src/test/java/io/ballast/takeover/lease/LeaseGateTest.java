package io.ballast.takeover.lease;

import static io.ballast.takeover.lease.Frames.address;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Capability;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Ping;
import io.ballast.linux.Sysctl;
import io.ballast.linux.TimedSends;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.neighbour.ArpProbe;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.TrafficControl;
import io.ballast.linux.netlink.TrafficControl.Classifier;
import io.ballast.linux.netlink.TrafficControl.Direction;
import io.ballast.takeover.lease.LeaseGate.Guarded;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A node that has addresses in the kernel all the time, and a neighbour who asks for them. */
@Timeout(60)
final class LeaseGateTest {
    private static final InetAddress OWN = address("10.77.0.1");
    private static final InetAddress VIP4 = address("10.77.0.100");
    private static final InetAddress VIP6 = address("2001:db8:77::100");
    private static final List<InetAddress> VIPS = List.of(VIP4, VIP6);
    private static final List<Guarded> GUARDED = List.of(new Guarded(VIP4, 0), new Guarded(VIP6, 0));

    private static final String NAME = "ballast node-a lease";

    /** Long enough for one that is alive, and not too long to wait for one that is not. */
    private static final Duration PATIENCE = Duration.ofMillis(100);

    private static final Duration LONG = Duration.ofMinutes(10);

    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    private NetworkNamespace node;
    private NetworkNamespace neighbour;
    private int eth0;

    @BeforeEach
    void build() throws Exception {
        for (Capability capability : List.of(Capability.BPF, Capability.NET_ADMIN, Capability.SYS_ADMIN)) {
            Assumptions.assumeTrue(capability.isEffective(), "needs " + capability);
        }
        Assumptions.assumeTrue(LeaseGate.class.getResource("gate.bpf.o") != null, "this build has no gate: no clang");
        node = open(NetworkNamespace.create());
        neighbour = open(NetworkNamespace.create());
        for (NetworkNamespace each : List.of(node, neighbour)) {
            each.call(() -> Sysctl.write("net.ipv6.conf.default.accept_dad", "0"));
        }
        netlink(node, netlink -> {
            netlink.create(new NewLink.Veth("eth0", "eth0", neighbour));
            eth0 = netlink.link("eth0").orElseThrow().index();
            number(netlink, OWN, VIP4, VIP6);
        });
        netlink(neighbour, netlink -> number(netlink, address("10.77.0.2"), address("2001:db8:77::2")));
    }

    @AfterEach
    void tearDown() throws Exception {
        while (!opened.isEmpty()) {
            opened.pop().close();
        }
    }

    private <T extends AutoCloseable> T open(T resource) {
        opened.push(resource);
        return resource;
    }

    private interface Change {
        void to(RouteNetlink netlink) throws IOException;
    }

    private static void netlink(NetworkNamespace where, Change change) throws IOException {
        where.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                change.to(netlink);
            }
            return true;
        });
    }

    private static void number(RouteNetlink netlink, InetAddress... addresses) throws IOException {
        int link = netlink.link("eth0").orElseThrow().index();
        netlink.setUp(link, true);
        for (InetAddress address : addresses) {
            boolean ipv4 = address instanceof Inet4Address;
            Address plain = Address.of(link, address, ipv4 ? 24 : 64);
            netlink.add(ipv4 ? plain : plain.withFlags(Set.of(Address.Flag.NODAD)));
        }
    }

    private LeaseGate gate(Duration lease) throws Exception {
        LeaseGate gate = node.call(() -> LeaseGate.open("node-a", lease));
        opened.push(gate::letGo);
        return gate;
    }

    private LeaseGate guarding(Duration lease) throws Exception {
        LeaseGate gate = gate(lease);
        gate.protect(GUARDED);
        gate.guard(eth0);
        return gate;
    }

    /** Whom of these the neighbour reaches, of whose Ethernet addresses it knows nothing. */
    private Set<InetAddress> reached(InetAddress... addresses) throws Exception {
        return neighbour.call(() -> {
            Set<InetAddress> reached = new HashSet<>();
            try (RouteNetlink netlink = RouteNetlink.open()) {
                int link = netlink.link("eth0").orElseThrow().index();
                for (InetAddress address : addresses) {
                    if (netlink.neighbour(link, address).isPresent()) {
                        netlink.removeNeighbour(link, address);
                    }
                    if (answers(address)) {
                        reached.add(address);
                    }
                }
            }
            return reached;
        });
    }

    private static boolean answers(InetAddress address) throws IOException {
        try {
            Ping.echo(address, null, null, NativeSocket.deadlineIn(PATIENCE.toNanos()));
            return true;
        } catch (SocketTimeoutException e) {
            return false;
        } catch (LinuxException e) {
            return switch (e.errno()) {
                case EHOSTUNREACH -> false;
                default -> throw e;
            };
        }
    }

    /** Whether somebody says to have the address. */
    private boolean isClaimed() throws Exception {
        return neighbour.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                Link link = netlink.link("eth0").orElseThrow();
                return !ArpProbe.whoElseHas(link, Set.of((Inet4Address) VIP4), PATIENCE)
                        .isEmpty();
            }
        });
    }

    private void awaitAnswers() throws Exception {
        Set<InetAddress> missing = new HashSet<>(VIPS);
        long until = System.nanoTime() + Duration.ofSeconds(20).toNanos();
        while (!missing.isEmpty()) {
            missing.removeAll(reached(missing.toArray(InetAddress[]::new)));
            assertThat(System.nanoTime()).as("no answer of " + missing).isLessThan(until);
        }
        while (!isClaimed()) {
            assertThat(System.nanoTime()).as("no answer to ARP").isLessThan(until);
        }
    }

    private void assertNoAnswers() throws Exception {
        assertThat(reached(VIP4, VIP6)).isEmpty();
        assertThat(isClaimed()).isFalse();
    }

    private List<String> names(Direction direction) throws Exception {
        return node.call(() -> {
            try (TrafficControl control = TrafficControl.open()) {
                return control.classifiers(eth0, direction).stream()
                        .map(Classifier::name)
                        .toList();
            }
        });
    }

    private interface OnControl {
        void run(TrafficControl control) throws IOException;
    }

    private void control(OnControl task) throws Exception {
        node.call(() -> {
            try (TrafficControl control = TrafficControl.open()) {
                task.run(control);
            }
            return true;
        });
    }

    @Test
    void theNodeAnswersForWhatItHolds() throws Exception {
        awaitAnswers();
        LeaseGate gate = guarding(LONG);
        gate.begin();
        assertNoAnswers();
        gate.hold(GUARDED);
        awaitAnswers();
        gate.release(GUARDED.subList(0, 1));
        assertThat(reached(VIP4)).isEmpty();
        assertThat(reached(VIP6)).containsExactly(VIP6);
        gate.hold(GUARDED);
        awaitAnswers();
        gate.end();
        assertNoAnswers();
        // Its own address is no matter.
        while (reached(OWN).isEmpty()) {}
        assertThat(gate.dropped()).containsOnlyKeys(GUARDED);
        assertThat(gate.dropped().values()).allMatch(dropped -> dropped.arriving() > 0);
    }

    /** Of a frame longer than a page, a packet socket puts only the Ethernet header where programs can point. */
    @Test
    void headersThatLieElsewhereAreReadToo() throws Exception {
        LeaseGate gate = guarding(LONG);
        netlink(node, netlink -> netlink.setMtu(eth0, 9000));
        byte[] data = new byte[6000];
        int link = neighbour.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                int index = netlink.link("eth0").orElseThrow().index();
                netlink.setMtu(index, 9000);
                return index;
            }
        });
        byte[] ipv4 = Frames.frame(Frames.ip("10.77.0.2", "10.77.0.100", Frames.UDP, data));
        byte[] ipv6 = Frames.frame(Frames.ip("2001:db8:77::2", "2001:db8:77::100", Frames.UDP, data));
        neighbour.call(() -> {
            try (NativeSocket socket = NativeSocket.packet(link, 3)) { // ETH_P_ALL
                socket.write(ByteBuffer.wrap(ipv4), NativeSocket.NO_DEADLINE);
                socket.write(ByteBuffer.wrap(ipv6), NativeSocket.NO_DEADLINE);
            }
            return true;
        });
        long until = System.nanoTime() + Duration.ofSeconds(20).toNanos();
        while (!gate.dropped().values().stream().allMatch(dropped -> dropped.arriving() > 0)) {
            assertThat(System.nanoTime()).as("they passed").isLessThan(until);
            LockSupport.parkNanos(1_000_000);
        }
    }

    @Test
    void nothingAnswersWhenTheTicksHaveEnded() throws Exception {
        LeaseGate gate = guarding(Duration.ofMillis(300));
        gate.hold(GUARDED);
        try (TimedSends sends = TimedSends.open();
                TimedSends.Stream ticks = sends.stream(gate.ticks(), 100, 1)) {
            long from = System.nanoTime();
            gate.begin();
            for (int i = 1; i <= 100; i++) {
                ticks.add(from + Duration.ofMillis(20).toNanos() * i, new byte[] {1});
            }
            sends.flush();
            awaitAnswers();
            while (ticks.pending() > 0) {
                Thread.onSpinWait();
            }
            assertThat(gate.aliveUntil())
                    .isGreaterThan(from + Duration.ofSeconds(2).toNanos());
            while (gate.isAlive()) {
                LockSupport.parkNanos(1_000_000);
            }
            assertNoAnswers();
            // What comes late does not make it answer again.
            ticks.add(0, new byte[] {1});
            sends.flush();
            assertNoAnswers();
        }
    }

    private Process holder() throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                LeaseHolder.class.getName(),
                "node-a",
                eth0 + ""));
        VIPS.forEach(each -> command.add(each.getHostAddress()));
        Process holder = node.call(() -> new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.INHERIT)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start());
        opened.push(() -> holder.destroyForcibly().waitFor());
        return holder;
    }

    private void awaitGuarded(Process holder) throws Exception {
        while (names(Direction.INGRESS).isEmpty() || names(Direction.EGRESS).isEmpty()) {
            assertThat(holder.isAlive()).isTrue();
            LockSupport.parkNanos(1_000_000);
        }
    }

    @Test
    void aKilledProcessOwnsNothingAndItsSuccessorTakesItsPlace() throws Exception {
        Process holder = holder();
        awaitGuarded(holder);
        awaitAnswers();
        holder.destroyForcibly().waitFor(); // kill -9
        long over = System.nanoTime() + LeaseGate.LEASE.toNanos();
        while (System.nanoTime() < over) {
            LockSupport.parkNanos(over - System.nanoTime());
        }
        assertNoAnswers();
        assertThat(names(Direction.INGRESS)).containsExactly(NAME + " with clsact");

        // Somebody who knows the way already would find the smallest gap between the two.
        netlink(
                neighbour,
                netlink ->
                        netlink.setNeighbour(netlink.link("eth0").orElseThrow().index(), VIP4, mac()));
        DatagramSocket receiver = open(node.call(() -> new DatagramSocket(0, VIP4)));
        receiver.setSoTimeout(1);
        DatagramSocket sender = open(neighbour.call(() -> new DatagramSocket()));
        sender.connect(receiver.getLocalSocketAddress());
        AtomicBoolean ends = new AtomicBoolean();
        AtomicLong sent = new AtomicLong();
        Thread sending = Thread.ofPlatform().start(() -> send(sender, ends, sent));
        LeaseGate gate = gate(LONG);
        assertThat(gate.left()).containsExactly(eth0);
        gate.protect(GUARDED);
        gate.begin();
        for (int i = 0; i < 20; i++) {
            long before = sent.get();
            gate.guard(eth0);
            while (sent.get() < before + 100) {
                assertThat(sending.isAlive()).isTrue();
                Thread.onSpinWait();
            }
        }
        assertThat(receives(receiver)).isFalse();
        gate.hold(GUARDED);
        while (!receives(receiver)) {
            assertThat(sending.isAlive()).isTrue();
        }
        gate.release(GUARDED);
        ends.set(true);
        sending.join();
        assertThat(gate.left()).isEmpty();
        assertThat(gate.check()).isEmpty();
        for (Direction direction : Direction.values()) {
            assertThat(names(direction)).containsExactly(NAME + " with clsact");
        }
        assertNoAnswers();
        gate.hold(GUARDED);
        awaitAnswers();
        // An orderly end opens the way: the addresses are not there any more by then.
        gate.close();
        assertThat(names(Direction.INGRESS)).isEmpty();
        control(control -> assertThat(control.clsacts()).isEmpty());
        awaitAnswers();
    }

    private MacAddress mac() throws IOException {
        return node.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                return Objects.requireNonNull(netlink.link(eth0).orElseThrow().address());
            }
        });
    }

    private static void send(DatagramSocket sender, AtomicBoolean ends, AtomicLong sent) {
        try {
            while (!ends.get()) {
                sender.send(new DatagramPacket(new byte[8], 8));
                sent.incrementAndGet();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean receives(DatagramSocket receiver) throws IOException {
        try {
            receiver.receive(new DatagramPacket(new byte[8], 8));
            return true;
        } catch (SocketTimeoutException e) {
            return false;
        }
    }

    @Test
    void whatAnotherProgramTakesAwayIsPutBackAndSaid() throws Exception {
        LeaseGate gate = guarding(LONG);
        assertThat(gate.check()).isEmpty();
        for (OnControl removal : List.<OnControl>of(
                control -> control.removeClsact(eth0),
                control -> control.remove(
                        control.classifiers(eth0, Direction.INGRESS).getFirst()),
                control -> control.remove(
                        control.classifiers(eth0, Direction.EGRESS).getFirst()))) {
            control(removal);
            assertThat(gate.check())
                    .singleElement()
                    .asString()
                    .contains("another program took away from eth0", "there again");
            assertThat(gate.check()).isEmpty();
            assertNoAnswers();
        }
    }

    @Test
    void whoIsAskedBeforeTheGateIsNamed() throws Exception {
        LeaseGate gate = gate(LONG);
        gate.protect(GUARDED);
        try (Gate theirs = Gate.load(LONG);
                BpfProgram program = theirs.program(Direction.EGRESS)) {
            control(control -> control.addClsact(eth0));
            control(control -> control.add(eth0, Direction.EGRESS, program.fd(), "behind"));
            gate.guard(eth0);
            assertThat(gate.check()).isEmpty();
            control(control -> control.add(eth0, Direction.EGRESS, program.fd(), "ballast www1 mss"));
            assertThat(gate.check()).isEmpty();
            control(control -> control.add(eth0, Direction.EGRESS, program.fd(), "theirs"));
        }
        assertThat(names(Direction.EGRESS)).containsExactly("theirs", "ballast www1 mss", NAME, "behind");
        assertThat(gate.check())
                .singleElement()
                .asString()
                .startsWith(
                        "on eth0, bpf classifier theirs of priority 1 is asked about leaving packets before the gate");
        gate.close();
        // Those of others stay, and their clsact.
        assertThat(names(Direction.EGRESS)).containsExactly("theirs", "ballast www1 mss", "behind");
        assertThat(names(Direction.INGRESS)).isEmpty();
    }

    @Test
    void whatAnEarlierDaemonLeftStaysShutUntilItIsRemoved() throws Exception {
        guarding(LONG).letGo();
        assertNoAnswers();
        LeaseGate next = gate(LONG);
        assertThat(next.left()).containsExactly(eth0);
        next.unguard(eth0);
        assertThat(next.left()).isEmpty();
        awaitAnswers();
        next.protect(GUARDED);
        next.guard(eth0);
        next.letGo();
        assertNoAnswers();
        node.call(() -> {
            LeaseGate.dismantle("node-b");
            return true;
        });
        assertThat(names(Direction.INGRESS)).containsExactly(NAME + " with clsact");
        node.call(() -> {
            LeaseGate.dismantle("node-a");
            LeaseGate.dismantle("node-a");
            return true;
        });
        control(control -> assertThat(control.clsacts()).isEmpty());
        awaitAnswers();
    }

    @Test
    void interfacesThatCannotBeGuardedAreNamed() throws Exception {
        LeaseGate gate = gate(LONG);
        assertThatThrownBy(() -> gate.guard(77)).hasMessage("cannot guard interface 77: there is none of that number");
        assertThatThrownBy(() -> gate.guard(1)).hasMessage("cannot guard lo: it carries no Ethernet frames");
        gate.guard(eth0);
        netlink(node, netlink -> netlink.deleteLink(eth0));
        assertThat(gate.check()).isEmpty();
        gate.unguard(eth0);
        gate.close();
    }
}
