package io.ballast.director.xdp;

import static io.ballast.director.xdp.Village.VIP4;
import static io.ballast.director.xdp.Village.VIP6;
import static io.ballast.director.xdp.Village.await;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.director.RecordedEvents;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.TrafficControl;
import io.ballast.linux.netlink.TrafficControl.Classifier;
import io.ballast.linux.netlink.TrafficControl.Direction;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A real server at the end of a tunnel, and clients who fill their packets. */
@Timeout(60)
final class MssClampingTest {
    private static final int STXCSUM = 0x17;

    private final List<String> events = new CopyOnWriteArrayList<>();
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    private Village village;
    private NetworkNamespace server;

    @BeforeEach
    void build() throws Exception {
        village = new Village();
        server = village.servers.getFirst();
        // What the director answers to packets that are too long leaves where they came.
        village.hearReturned();
        // So the kernel finishes the checksums of answers, and the client looks at them.
        Village.offload(server, "eth1", STXCSUM, 0);
    }

    @AfterEach
    void tearDown() throws Exception {
        if (village != null) {
            while (!opened.isEmpty()) {
                opened.pop().close();
            }
            XdpDirector.dismantle(village.bpffs, "test");
            atServer(() -> {
                Decapsulation.dismantle(village.bpffs, "www1");
                MssClamping.dismantle("www1");
                return true;
            });
            village.close();
        }
    }

    private <T> T atServer(Callable<T> task) throws Exception {
        return server.call(task);
    }

    private static InetAddress end(boolean ipv6) {
        return Frames.address(ipv6 ? "2001:db8:9:1::2" : "10.9.1.2");
    }

    private void direct(ForwardingMethod method, InetAddress vip, InetAddress end) throws Exception {
        XdpDirector director = village.director.call(() -> XdpDirector.open(
                village.loop,
                new RecordedEvents(events),
                village.bpffs,
                "test",
                List.of("eth0"),
                new XdpDirector.Capacity(16, 256, 4, 10_000)));
        opened.push(() -> village.onLoop(() -> {
            director.close();
            return true;
        }));
        Forwarding forwarding = Forwardings.of(
                "web",
                method,
                SchedulerKind.RR,
                List.of(new Endpoint(vip, Village.PORT, Protocol.TCP)),
                List.of(new Forwarding.Server("www1", new InetSocketAddress(end, Village.PORT), 1, 0, ServerState.UP)));
        village.onLoop(() -> {
            director.put(forwarding);
            director.retain(Set.of("web"));
            return true;
        });
        await("the way to the server is known", () -> village.onLoop(director::isReady));
        opened.push(atServer(() -> Decapsulation.open(
                village.bpffs, "www1", List.of("eth0"), Set.of(VIP4, VIP6), Set.of(end), events::add)));
    }

    private MssClamping clamp() throws Exception {
        MssClamping clamping = atServer(() -> MssClamping.open("www1", () -> {}, events::add));
        opened.push(clamping);
        return clamping;
    }

    /** Errors that the client was sent because of packets that are too long. */
    private long tooBig(boolean ipv6) throws Exception {
        return village.client.call(() -> ipv6 ? column6("Icmp6InPktTooBigs") : column("Icmp:", "InDestUnreachs"));
    }

    private static long column(String row, String name) throws Exception {
        List<String[]> lines = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of("/proc/thread-self/net/snmp"))) {
            if (line.startsWith(row)) {
                lines.add(line.split(" "));
            }
        }
        return Long.parseLong(lines.get(1)[Arrays.asList(lines.getFirst()).indexOf(name)]);
    }

    private static long column6(String name) throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/thread-self/net/snmp6"))) {
            if (line.startsWith(name)) {
                return Long.parseLong(line.substring(name.length()).strip());
            }
        }
        throw new IllegalStateException(name);
    }

    private long fragments() throws Exception {
        return atServer(() -> column("Ip:", "ReasmReqds") + column6("Ip6ReasmReqds"));
    }

    private void upload(InetAddress vip) throws Exception {
        try (Village.Connection connection = village.connect(vip)) {
            assertThat(connection.ask("x".repeat(3_000_000))).isEqualTo("www1");
        }
    }

    @ParameterizedTest
    @CsvSource({
        "TUNNEL, false, false",
        "TUNNEL, false, true",
        "TUNNEL, true, true",
        "GUE, true, false",
        "GUE, false, true",
    })
    void clientsSendWhatFitsTheTunnel(ForwardingMethod method, boolean ipv6, boolean overIpv6) throws Exception {
        InetAddress vip = ipv6 ? VIP6 : VIP4;
        direct(method, vip, end(overIpv6));
        MssClamping clamping = clamp();
        boolean gue = method == ForwardingMethod.GUE;
        assertThat(atServer(
                        () -> clamping.become(Set.of(new MssClamping.Answer(vip, Village.PORT, end(overIpv6), gue)))))
                .isEmpty();
        upload(vip);
        assertThat(clamping.lowered()).isEqualTo(1);
        assertThat(tooBig(ipv6)).isZero();
        // Without it, the client has to be told; which shows that this can fail.
        assertThat(atServer(() -> clamping.become(Set.of()))).isEmpty();
        upload(vip);
        assertThat(tooBig(ipv6)).isPositive();
        assertThat(clamping.lowered()).isEqualTo(1);
        assertThat(fragments()).isZero();
    }

    @Test
    void whatFitsFollowsTheMtuOfTheTunnelsEnd() throws Exception {
        direct(ForwardingMethod.TUNNEL, VIP4, end(false));
        MssClamping clamping = clamp();
        Set<MssClamping.Answer> answers = Set.of(new MssClamping.Answer(VIP4, 0, end(false), false));
        // More than clients can: never raised.
        Village.netlink(server, netlink -> netlink.setMtu(Village.index(netlink, "eth0"), 9000));
        atServer(() -> clamping.become(answers));
        village.ask(VIP4);
        assertThat(clamping.lowered()).isZero();
        Village.netlink(server, netlink -> netlink.setMtu(Village.index(netlink, "eth0"), 1400));
        atServer(clamping::look);
        village.ask(VIP4);
        assertThat(clamping.lowered()).isEqualTo(1);
    }

    private List<Classifier> classifiers(String device, Direction direction) throws Exception {
        return atServer(() -> {
            try (TrafficControl control = TrafficControl.open();
                    RouteNetlink netlink = RouteNetlink.open()) {
                return control.classifiers(Village.index(netlink, device), direction);
            }
        });
    }

    private Set<Integer> clsacts() throws Exception {
        return atServer(() -> {
            try (TrafficControl control = TrafficControl.open()) {
                return control.clsacts();
            }
        });
    }

    @Test
    void anotherProcessGoesOnAndARemovalLeavesNothing() throws Exception {
        direct(ForwardingMethod.TUNNEL, VIP4, end(false));
        Set<MssClamping.Answer> answers = Set.of(new MssClamping.Answer(VIP4, Village.PORT, end(false), false));
        MssClamping first = clamp();
        atServer(() -> first.become(answers));
        atServer(first::look);
        assertThat(classifiers("eth1", Direction.EGRESS)).hasSize(1);
        opened.remove(first);
        first.close();
        upload(VIP4);
        assertThat(tooBig(false)).as("the daemon is gone, its program is not").isZero();
        MssClamping second = clamp();
        atServer(() -> second.become(answers));
        assertThat(classifiers("eth1", Direction.EGRESS)).hasSize(1);
        upload(VIP4);
        assertThat(second.lowered()).isEqualTo(1);
        assertThat(tooBig(false)).isZero();
        // Interfaces that come get it as well.
        Village.netlink(server, netlink -> netlink.create(new NewLink.Veth("d0", "d1", null)));
        atServer(second::look);
        assertThat(classifiers("d0", Direction.EGRESS)).hasSize(1);
        atServer(() -> {
            MssClamping.dismantle("www2");
            return true;
        });
        assertThat(clsacts()).hasSize(4);
        atServer(() -> {
            MssClamping.dismantle("www1");
            return true;
        });
        assertThat(clsacts()).isEmpty();
    }

    @Test
    void whatAnotherProgramTakesAwayIsPutBackAndSaid() throws Exception {
        Set<MssClamping.Answer> answers = Set.of(new MssClamping.Answer(VIP4, 0, end(false), false));
        MssClamping clamping = clamp();
        atServer(() -> clamping.become(answers));
        atServer(clamping::look);
        assertThat(events).isEmpty();
        atServer(() -> {
            try (TrafficControl control = TrafficControl.open();
                    RouteNetlink netlink = RouteNetlink.open()) {
                control.removeClsact(Village.index(netlink, "eth1"));
            }
            return true;
        });
        assertThat(atServer(clamping::look)).isEmpty();
        assertThat(classifiers("eth1", Direction.EGRESS)).hasSize(1);
        assertThat(events).singleElement().asString().contains("another program took away from eth1", "there again");
        atServer(clamping::look);
        assertThat(events).hasSize(1);
    }

    @Test
    void somebodyElsesProgramsStay() throws Exception {
        direct(ForwardingMethod.TUNNEL, VIP4, end(false));
        Set<MssClamping.Answer> answers = Set.of(new MssClamping.Answer(VIP4, Village.PORT, end(false), false));
        try (MssClamp theirs = MssClamp.load();
                var program = theirs.program()) {
            atServer(() -> {
                try (TrafficControl control = TrafficControl.open();
                        RouteNetlink netlink = RouteNetlink.open()) {
                    int eth1 = Village.index(netlink, "eth1");
                    control.addClsact(eth1);
                    control.add(eth1, Direction.EGRESS, program.fd(), "theirs");
                }
                return true;
            });
        }
        MssClamping clamping = clamp();
        assertThat(atServer(() -> clamping.become(answers))).isEmpty();
        village.ask(VIP4);
        assertThat(clamping.lowered()).isEqualTo(1);
        assertThat(classifiers("eth1", Direction.EGRESS))
                .extracting(Classifier::name)
                .containsExactlyInAnyOrder("theirs", "ballast www1 mss");
        atServer(() -> {
            MssClamping.dismantle("www1");
            return true;
        });
        assertThat(classifiers("eth1", Direction.EGRESS))
                .extracting(Classifier::name)
                .containsExactly("theirs");
    }

    @Test
    void withoutPermissionItSaysWhatIsMissing() {
        assertThatThrownBy(() -> Village.withoutCapabilities(() -> MssClamping.open("www1", () -> {}, events::add)))
                .hasMessageContaining("CAP_BPF is missing");
        assertThat(MssClamping.without(
                        List.of(new MssClamping.Answer(VIP4, 80, end(false), false)), "CAP_BPF is missing"))
                .contains("not lowered", "CAP_BPF is missing", "advmss 1440");
    }
}
