package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.ACK;
import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.SYN;
import static io.ballast.director.xdp.Frames.address;
import static io.ballast.director.xdp.Frames.frame;
import static io.ballast.director.xdp.Frames.ip;
import static io.ballast.director.xdp.Frames.tcp;
import static io.ballast.director.xdp.Frames.udp;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.InstanceOfAssertFactories.STRING;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwardings;
import io.ballast.director.xdp.DataPlane.Reason;
import io.ballast.linux.bpf.XdpAction;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** More connections than there may be: which are taken, which are not, and what becomes of those that were there. */
final class FloodTest {
    /** Many times as many as there are places; fewer where the kernel is an emulated one. */
    private static final int SYNS = Integer.getInteger("ballast.flood", 5_000_000);

    private static final InetAddress VIP = address("192.0.2.1");
    private static final InetAddress VIP6 = address("2001:db8:1::1");
    private static final int REMEMBER = Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER;
    /** A burst is 100 ms, and the clock goes by the kernel's ticks, of 10 ms at most. */
    private static final long SLACK_MILLIS = 20;

    private static final long AT_ONCE = 900_000_000;

    private Bench bench;

    @BeforeEach
    void open() throws Exception {
        bench = Bench.open();
    }

    @AfterEach
    void close() {
        if (bench != null) {
            bench.close();
        }
    }

    private void serve(Vip.Kind kind, int flags) throws Exception {
        for (Protocol protocol : Protocol.values()) {
            bench.serve(VIP, 80, protocol, kind, flags, 1);
            bench.serve(VIP6, 80, protocol, kind, flags, 1);
        }
        bench.server(0, 0, address("10.0.0.1"), address("10.0.0.254"), 0, 1500);
    }

    private void reopen(int learnedPerSecond) throws Exception {
        bench.close();
        bench = Bench.open(learnedPerSecond);
    }

    private XdpAction segment(InetAddress client, int port, int flags) throws Exception {
        InetAddress vip = client.getAddress().length == 4 ? VIP : VIP6;
        return bench.run(frame(
                        DIRECTOR, ROUTER, ip(client, vip, Frames.TCP, tcp(client, port, vip, 80, flags, new byte[0]))))
                .action();
    }

    private XdpAction datagram(InetAddress client, int port) throws Exception {
        return bench.run(frame(DIRECTOR, ROUTER, ip(client, VIP, Frames.UDP, udp(client, port, VIP, 80, new byte[4]))))
                .action();
    }

    private static InetAddress client(int number) {
        return address("198.18." + (number >> 8) + "." + (number & 255));
    }

    private interface Attempt {
        XdpAction send(int number) throws Exception;
    }

    /** How many of so many attempts are sent on, and how long they took. */
    private record Sent(int count, long millis) {
        /** That those are a burst and what comes at the rate, no less and no more. */
        void isAtRate(int perSecond, int burst) {
            assertThat((long) count).isBetween((long) burst, burst + perSecond * (millis + SLACK_MILLIS) / 1000 + 1);
        }
    }

    private static Sent send(int count, Attempt attempt) throws Exception {
        long start = System.nanoTime();
        int sent = 0;
        for (int i = 0; i < count; i++) {
            XdpAction action = attempt.send(i);
            assertThat(action).isIn(XdpAction.TX, XdpAction.DROP);
            sent += action == XdpAction.TX ? 1 : 0;
        }
        return new Sent(sent, (System.nanoTime() - start) / 1_000_000);
    }

    private long reason(Reason reason) throws Exception {
        return Objects.requireNonNull(bench.plane().reasons().get(reason));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aServiceTakesSoManyNewConnectionsASecond(boolean remembers) throws Exception {
        serve(Vip.Kind.BY_SLOT_OF_HASH, Layout.FLAG_LIMIT | (remembers ? REMEMBER : 0));
        bench.plane().rates(0, 100, 0);
        Sent sent = send(3000, i -> segment(client(i), 1000, SYN));
        sent.isAtRate(100, 10);
        assertThat(sent.count()).isLessThan(3000);
        assertThat(bench.plane().reasonsByService())
                .isEqualTo(Map.of(0, Map.of(Reason.DROP_RATE, 3000L - sent.count())));
        // What is of a connection goes on, whether or not it is remembered.
        assertThat(send(3000, i -> segment(client(i), 1000, ACK)).count()).isEqualTo(3000);
        assertThat(reason(Reason.DROP_RATE)).isEqualTo(3000 - sent.count());
    }

    @Test
    void aServiceWithoutTheFlagIsNotLimited() throws Exception {
        serve(Vip.Kind.BY_SLOT_OF_HASH, 0);
        bench.plane().rates(0, 1, 1);
        assertThat(send(1000, i -> segment(client(1), i + 1, SYN)).count()).isEqualTo(1000);
    }

    @Test
    void aClientOpensSoManyConnectionsASecondAndOthersDoNotMind() throws Exception {
        serve(Vip.Kind.BY_SLOT_OF_HASH, Layout.FLAG_LIMIT);
        bench.plane().rates(0, 0, 50);
        Sent sent = send(1000, i -> segment(client(1), i + 1, SYN));
        sent.isAtRate(50, 50);
        assertThat(sent.count()).isLessThan(1000);
        assertThat(reason(Reason.DROP_SOURCE_RATE)).isEqualTo(1000 - sent.count());
        assertThat(send(2000, i -> segment(client(i + 2), 1000, SYN)).count()).isEqualTo(2000);
        assertThat(send(100, i -> segment(client(1), i + 1, ACK)).count()).isEqualTo(100);
    }

    @Test
    void aNetworkOf64BitsIsOneClientOfIpv6() throws Exception {
        serve(Vip.Kind.BY_SLOT_OF_HASH, Layout.FLAG_LIMIT);
        bench.plane().rates(0, 0, 50);
        Sent sent = send(1000, i -> segment(address("2001:db8:7:1::" + Integer.toHexString(i + 1)), 1000, SYN));
        sent.isAtRate(50, 50);
        assertThat(sent.count()).isLessThan(1000);
        Sent others = send(1000, i -> segment(address("2001:db8:8:" + Integer.toHexString(i) + "::1"), 1000, SYN));
        assertThat(others.count()).isEqualTo(1000);
    }

    @Test
    void whatAClientMayNotOpenIsNotCountedAgainstTheService() throws Exception {
        serve(Vip.Kind.BY_SLOT_OF_HASH, Layout.FLAG_LIMIT);
        bench.plane().rates(0, 1000, 10);
        send(5000, i -> segment(client(1), i + 1, SYN));
        assertThat(reason(Reason.DROP_RATE)).isZero();
        assertThat(segment(client(2), 1, SYN)).isEqualTo(XdpAction.TX);
    }

    @Test
    void ofUdpOnlyUnknownFlowsAreLimited() throws Exception {
        serve(Vip.Kind.IN_TURN, Layout.FLAG_LIMIT | REMEMBER);
        assertThat(datagram(client(1), 7)).isEqualTo(XdpAction.TX);
        bench.plane().rates(0, 100, 0);
        send(1000, i -> datagram(client(2), i + 1)).isAtRate(100, 10);
        assertThat(send(1000, i -> datagram(client(1), 7)).count()).isEqualTo(1000);
    }

    @Test
    void aProcessorRemembersSoManyNewConnectionsASecondAndTheRestIsDroppedWhereItMustBeRemembered() throws Exception {
        reopen(100);
        serve(Vip.Kind.IN_TURN, REMEMBER);
        Sent sent = send(4000, i -> segment(client(i), 1000, SYN));
        // There are as many bounds as processors that the test comes to be on.
        assertThat(sent.count()).isBetween(10, 3999);
        assertThat(reason(Reason.FLOW_UNLEARNED)).isEqualTo(4000 - sent.count());
        assertThat(send(1000, i -> segment(client(0), 1000, ACK)).count()).isEqualTo(1000);
    }

    @Test
    void ofAMovedSlotWhatIsNotRememberedGoesWhereItsLaterPacketsGo() throws Exception {
        reopen(1);
        int line = bench.serve(VIP, 80, Protocol.TCP, Vip.Kind.BY_SLOT_OF_HASH, Layout.FLAG_LOOKUP, 1);
        for (int server = 0; server < 2; server++) {
            bench.server(server, 0, address("10.0.0." + (server + 1)), address("10.0.0.254"), 0, 1500);
        }
        SlotTable table = new SlotTable(new char[256]);
        char[] moved = new char[256];
        Arrays.fill(moved, (char) 1);
        table.update(moved, member -> true);
        bench.plane().slots(line, table);
        // Whatever the processors may remember; and at once, before a second is over and they may remember another.
        List<Integer> servers;
        int client = 500;
        long began;
        do {
            client++;
            servers = new ArrayList<>();
            began = System.nanoTime();
            send(100, i -> segment(client(i), 1000, SYN));
            for (int flags : new int[] {SYN, ACK, ACK}) {
                InetAddress from = client(client);
                servers.add(Bench.serverOf(bench.run(frame(
                        DIRECTOR, ROUTER, ip(from, VIP, Frames.TCP, tcp(from, 1, VIP, 80, flags, new byte[0]))))));
            }
        } while (System.nanoTime() - began > AT_ONCE && client < 1000);
        assertThat(servers).containsExactly(0, 0, 0);
        // The server from which the slots moved takes no new ones.
        bench.flags(0, Layout.READY);
        assertThat(segment(client(400), 1, SYN)).isEqualTo(XdpAction.DROP);
        assertThat(segment(client(400), 1, ACK)).isEqualTo(XdpAction.TX);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aThousandConnectionsOutliveFiveMillionSyns(boolean nat) throws Exception {
        Bench.assumeLoading();
        try (XdpBenchmark flood = XdpBenchmark.open(new XdpBenchmark.Room(4, 64, 1, 131_072))) {
            flood.engine()
                    .put(Forwardings.of(
                            "web",
                            nat ? ForwardingMethod.NAT : ForwardingMethod.DR,
                            SchedulerKind.RR,
                            List.of(new Endpoint(XdpBenchmark.VIP4, XdpBenchmark.PORT, Protocol.TCP)),
                            List.of(new Forwarding.Server(
                                    "www",
                                    new InetSocketAddress(address("10.1.0.1"), XdpBenchmark.PORT),
                                    1,
                                    0,
                                    Forwarding.ServerState.UP))));
            flood.packets(false, false, 1024, 1024);
            assertThat(flood.established()).isEqualTo(1024);
            flood.packets(false, true, XdpBenchmark.NEW_EACH_TIME, SYNS);
            assertThat(flood.established()).isEqualTo(1024);
            if (SYNS > 1_000_000) {
                for (int part = 0; part < 8; part++) {
                    flood.tick();
                }
                assertThat(flood.complaints()).singleElement(STRING).contains("under pressure", "flood of SYNs");
            }
        }
    }
}
