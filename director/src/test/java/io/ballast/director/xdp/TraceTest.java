package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.ACK;
import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.FIN;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.RST;
import static io.ballast.director.xdp.Frames.SYN;
import static io.ballast.director.xdp.Frames.address;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.quic.QuicIds;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.RecordedEvents;
import io.ballast.director.RefusedException;
import io.ballast.director.Trace;
import io.ballast.linux.netlink.MacAddress;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a trace says of packets: every way to find a server, every way not to, and how it begins and ends. */
final class TraceTest {
    private static final InetAddress VIP = address("192.0.2.1");
    private static final InetAddress CLIENT = address("198.51.100.7");
    private static final ServiceSpec.Timeouts TIMEOUTS = new ServiceSpec.Timeouts(
            Duration.ofSeconds(1),
            Duration.ofMinutes(10),
            Duration.ofMinutes(1),
            Duration.ofMinutes(1),
            Duration.ofSeconds(1),
            Duration.ofMinutes(5));

    private final List<String> events = new ArrayList<>();
    private Bench bench;
    private XdpEngine engine;
    private int mtu = 1500;
    private boolean known = true;
    private Optional<ServiceSpec.Persistence> persistence = Optional.empty();
    private Optional<ServiceSpec.Quic> quic = Optional.empty();
    private ServiceSpec.SynCookies cookies = ServiceSpec.SynCookies.OFF;

    @BeforeEach
    void open() throws Exception {
        bench = Bench.open();
        engine = newEngine();
    }

    private XdpEngine newEngine() {
        return new XdpEngine(bench.plane(), new OnTheLink(), new RecordedEvents(events), () -> 0);
    }

    @AfterEach
    void close() {
        if (bench != null) {
            bench.close();
        }
    }

    private final class OnTheLink implements Hops {
        @Override
        public void soon(Runnable task) {
            task.run();
        }

        @Override
        public void watch(InetAddress server, Listener listener) {
            int last = server.getAddress()[3] & 0xff;
            listener.hop(
                    server,
                    known
                            ? Optional.of(new Hop(
                                    new MacAddress(0x0200_0001_0000L + last),
                                    new MacAddress(0x0200_0000_00aaL),
                                    1,
                                    mtu))
                            : Optional.empty());
        }

        @Override
        public void forget(InetAddress server, Listener listener) {}

        @Override
        public Optional<InetAddress> sourceFor(InetAddress server) {
            return Optional.of(address("10.9.0.254"));
        }
    }

    private void put(SchedulerKind scheduler, ForwardingMethod method, int count) {
        List<Server> servers = new ArrayList<>();
        for (int i = 1; i <= count; i++) {
            int number = i;
            servers.add(new Server(
                    "s" + i,
                    new InetSocketAddress(address("10.9.0." + i), 8080),
                    1,
                    0,
                    ServerState.UP,
                    quic.map(any -> "0a0" + number)));
        }
        engine.put(new Forwarding(
                "web",
                List.of(new Endpoint(VIP, 80, Protocol.TCP), new Endpoint(VIP, 443, Protocol.UDP)),
                scheduler,
                method,
                persistence,
                TIMEOUTS,
                new ServiceSpec.Limits(0, 0, 0),
                new ServiceSpec.ConnectRetry(0, 0),
                ServiceSpec.ProxyProtocol.OFF,
                ServiceSpec.OnDown.KEEP,
                Optional.empty(),
                servers,
                Optional.empty(),
                quic,
                EngineKind.XDP,
                cookies));
    }

    private Bench.Out run(byte[] packet) throws Exception {
        return bench.run(Frames.frame(DIRECTOR, ROUTER, packet));
    }

    /** The only record of a trace, without what differs from run to run. */
    private static String record(Trace trace) {
        List<JsonObject> packets = new ArrayList<>();
        trace.read(packets::add);
        assertThat(packets).hasSize(1);
        packets.getFirst().remove("time");
        packets.getFirst().remove("interface");
        return packets.getFirst().toString();
    }

    private Bench.Out send(InetAddress from, int port, InetAddress to, int toPort, int flags) throws Exception {
        return bench.run(Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(from, to, Frames.TCP, Frames.tcp(from, port, to, toPort, flags, new byte[0]))));
    }

    private Bench.Out send(int port, int flags) throws Exception {
        return send(CLIENT, port, VIP, 80, flags);
    }

    private Trace trace(int every, int limit) throws Exception {
        return engine.trace("web", every, limit, index -> "if" + index);
    }

    /** What the trace tells, in a word for each of the members named. */
    private static List<String> told(Trace trace, String... members) {
        List<String> lines = new ArrayList<>();
        trace.read(packet -> {
            List<String> words = new ArrayList<>();
            for (String member : members) {
                words.add(packet.has(member) ? packet.get(member).getAsString() : "-");
            }
            lines.add(String.join(" ", words));
        });
        return lines;
    }

    private static List<String> decisions(Trace trace) {
        return told(trace, "packet", "chosen", "server", "verdict", "reason");
    }

    @Test
    void aRecordSaysWhenWhoWhereToAndWhichWay() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        try (Trace trace = trace(1, 10)) {
            send(4711, SYN);
            List<JsonObject> packets = new ArrayList<>();
            trace.read(packets::add);
            JsonObject packet = packets.getFirst();
            assertThat(packet.remove("time").getAsString()).matches("20..-..-..T.*Z");
            assertThat(packet.remove("interface").getAsString()).startsWith("if");
            assertThat(packet)
                    .hasToString("{\"protocol\":\"tcp\",\"from\":\"198.51.100.7:4711\",\"to\":\"192.0.2.1:80\","
                            + "\"packet\":\"syn\",\"length\":40,\"answer\":false,\"server\":\"s1\",\"chosen\":\"slot\","
                            + "\"verdict\":\"sent\",\"outInterface\":\"if1\",\"mac\":\"02:00:00:01:00:01\"}");
        }
    }

    @Test
    void everyWayToFindAServerIsTold() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        put(SchedulerKind.MH, ForwardingMethod.DR, 2);
        try (Trace trace = trace(1, 100)) {
            // Half of the clients are to move.
            for (int client = 1; client < 20; client++) {
                InetAddress from = address("198.51.100." + client);
                send(from, 1, VIP, 80, ACK);
                send(from, 1, VIP, 80, FIN);
            }
            assertThat(decisions(trace))
                    .contains("goes-on base s1 sent -", "fin memory s1 sent -", "goes-on slot s1 sent -");
            put(SchedulerKind.MH, ForwardingMethod.DR, 40);
            send(1, SYN);
            assertThat(decisions(trace)).singleElement().asString().matches("syn slot s[0-9]+ sent -");
        }
        put(SchedulerKind.RR, ForwardingMethod.DR, 1);
        try (Trace trace = trace(1, 100)) {
            send(1, SYN);
            send(1, ACK);
            send(1, RST);
            assertThat(decisions(trace))
                    .containsExactly("syn turn s1 sent -", "goes-on memory s1 sent -", "rst memory s1 sent -");
        }
        put(SchedulerKind.WLC, ForwardingMethod.DR, 1);
        try (Trace trace = trace(1, 100)) {
            send(2, SYN);
            assertThat(decisions(trace)).containsExactly("syn load s1 sent -");
        }
    }

    @Test
    void everyReasonNotToSendIsTold() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 0);
        try (Trace trace = trace(1, 100)) {
            send(1, SYN);
            assertThat(decisions(trace)).containsExactly("syn - - passed pass_no_server");
        }
        put(SchedulerKind.RR, ForwardingMethod.DR, 1);
        try (Trace trace = trace(1, 100)) {
            send(1, SYN);
            engine.connections(new ConnectionQuery(ConnectionFilter.of("web"), ConnectionQuery.Task.KILL, 0))
                    .toCompletableFuture()
                    .join();
            send(1, ACK);
            assertThat(decisions(trace)).containsExactly("syn turn s1 sent -", "goes-on - - passed pass_killed");
        }
        known = false;
        engine.remove("web");
        put(SchedulerKind.MH, ForwardingMethod.NAT, 1);
        try (Trace trace = trace(1, 100)) {
            send(9, RST);
            send(9, SYN);
            assertThat(told(trace, "packet", "verdict", "reason"))
                    .containsExactly("rst passed pass_no_server", "syn passed pass_no_server");
        }
        known = true;
        mtu = 30;
        engine.remove("web");
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        try (Trace trace = trace(1, 100)) {
            send(10, ACK);
            assertThat(told(trace, "packet", "server", "reason", "outInterface"))
                    .containsExactly("goes-on s1 drop_too_big -");
        }
    }

    @Test
    void translatedPacketsAreToldInBothDirections() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.NAT, 1);
        try (Trace trace = trace(1, 100)) {
            send(4711, SYN);
            send(address("10.9.0.1"), 8080, CLIENT, 4711, SYN | ACK);
            send(address("10.9.0.1"), 8080, CLIENT, 4711, ACK);
            send(address("10.9.0.1"), 8080, CLIENT, 4712, ACK);
            send(4712, FIN);
            assertThat(told(trace, "packet", "from", "to", "chosen", "answer", "verdict", "reason", "outFrom", "outTo"))
                    .containsExactly(
                            "syn 198.51.100.7:4711 192.0.2.1:80 slot false sent - 198.51.100.7:4711 10.9.0.1:8080",
                            "syn-ack 10.9.0.1:8080 198.51.100.7:4711 memory true sent -"
                                    + " 192.0.2.1:80 198.51.100.7:4711",
                            "goes-on 10.9.0.1:8080 198.51.100.7:4711 memory true sent -"
                                    + " 192.0.2.1:80 198.51.100.7:4711",
                            "fin 198.51.100.7:4712 192.0.2.1:80 - false passed pass_no_flow - -");
        }
        put(SchedulerKind.MH, ForwardingMethod.FULLNAT, 1);
        try (Trace trace = trace(1, 100)) {
            send(4711, SYN);
            List<String> out = told(trace, "outFrom", "outTo");
            assertThat(out).singleElement().asString().matches("10\\.9\\.0\\.254:[0-9]+ 10\\.9\\.0\\.1:8080");
            int port = Integer.parseInt(out.getFirst().replaceAll("^[^:]*:([0-9]+) .*", "$1"));
            send(address("10.9.0.1"), 8080, address("10.9.0.254"), port, ACK);
            // What came went to the director; the client's address is on the wire only afterwards.
            assertThat(told(trace, "from", "to", "answer", "outFrom", "outTo"))
                    .containsExactly("10.9.0.1:8080 10.9.0.254:" + port + " true 192.0.2.1:80 198.51.100.7:4711");
        }
    }

    @Test
    void anAnswerIsToldAsItCameAndAsItLeft() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.NAT, 1);
        send(4711, SYN);
        try (Trace trace = trace(1, 100)) {
            send(address("10.9.0.1"), 8080, CLIENT, 4711, SYN | ACK);
            assertThat(record(trace))
                    .isEqualTo("{\"protocol\":\"tcp\",\"from\":\"10.9.0.1:8080\",\"to\":\"198.51.100.7:4711\","
                            + "\"packet\":\"syn-ack\",\"length\":40,\"answer\":true,\"server\":\"s1\","
                            + "\"chosen\":\"memory\",\"verdict\":\"sent\",\"outFrom\":\"192.0.2.1:80\","
                            + "\"outTo\":\"198.51.100.7:4711\"}");
        }
    }

    @Test
    void aClientsServerIsToldAsSuch() throws Exception {
        persistence = Optional.of(new ServiceSpec.Persistence(Duration.ofHours(1), 32, 128));
        put(SchedulerKind.RR, ForwardingMethod.DR, 2);
        send(4711, SYN);
        send(4711, ACK);
        try (Trace trace = trace(1, 100)) {
            send(4712, SYN);
            assertThat(record(trace))
                    .isEqualTo("{\"protocol\":\"tcp\",\"from\":\"198.51.100.7:4712\",\"to\":\"192.0.2.1:80\","
                            + "\"packet\":\"syn\",\"length\":40,\"answer\":false,\"server\":\"s1\","
                            + "\"chosen\":\"persistence\",\"verdict\":\"sent\",\"outInterface\":\"if1\","
                            + "\"mac\":\"02:00:00:01:00:01\"}");
        }
    }

    @Test
    void aConnectionIdIsToldAsSuch() throws Exception {
        quic = Optional.of(new ServiceSpec.Quic(1, 2));
        put(SchedulerKind.MH, ForwardingMethod.DR, 2);
        byte[] id = QuicIds.plain(1, 2, 6).make(Frames.hex("0a02"), new byte[6]);
        try (Trace trace = trace(1, 100)) {
            byte[] datagram = Frames.udp(CLIENT, 4711, VIP, 443, QuicDatagrams.shortHeader(id));
            run(Frames.ip(CLIENT, VIP, Frames.UDP, datagram));
            assertThat(record(trace))
                    .isEqualTo("{\"protocol\":\"udp\",\"from\":\"198.51.100.7:4711\",\"to\":\"192.0.2.1:443\","
                            + "\"packet\":\"goes-on\",\"length\":59,\"answer\":false,\"server\":\"s2\","
                            + "\"chosen\":\"quic-id\",\"verdict\":\"sent\",\"outInterface\":\"if1\","
                            + "\"mac\":\"02:00:00:01:00:02\"}");
        }
    }

    @Test
    void fragmentsAreToldWithoutThePortsThatTheyDoNotHave() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        byte[] datagram = Frames.udp(CLIENT, 4711, VIP, 443, new byte[64]);
        try (Trace trace = trace(1, 100)) {
            run(Frames.join(
                    Frames.ip4(CLIENT, VIP, Frames.UDP, 0, 9, 0x2000, 63, new byte[0], 40),
                    Frames.first(datagram, 40)));
            assertThat(record(trace))
                    .isEqualTo("{\"protocol\":\"udp\",\"from\":\"198.51.100.7:4711\",\"to\":\"192.0.2.1:443\","
                            + "\"packet\":\"goes-on, first fragment\",\"length\":60,\"answer\":false,"
                            + "\"server\":\"s1\",\"chosen\":\"slot\",\"verdict\":\"sent\","
                            + "\"outInterface\":\"if1\",\"mac\":\"02:00:00:01:00:01\"}");
            run(Frames.join(
                    Frames.ip4(CLIENT, VIP, Frames.UDP, 0, 9, 5, 63, new byte[0], 32), Frames.tail(datagram, 40)));
            assertThat(record(trace))
                    .isEqualTo("{\"protocol\":\"udp\",\"from\":\"198.51.100.7\",\"to\":\"192.0.2.1\","
                            + "\"packet\":\"fragment\",\"length\":52,\"answer\":false,\"server\":\"s1\","
                            + "\"chosen\":\"fragment\",\"verdict\":\"sent\",\"outInterface\":\"if1\","
                            + "\"mac\":\"02:00:00:01:00:01\"}");
        }
    }

    @Test
    void anIcmpErrorIsToldWithThePacketThatItIsAbout() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.NAT, 1);
        send(4711, SYN);
        try (Trace trace = trace(1, 100)) {
            byte[] quoted = Frames.ip(VIP, CLIENT, Frames.TCP, Frames.tcp(VIP, 80, CLIENT, 4711, ACK, new byte[0]));
            InetAddress router = address("203.0.113.1");
            run(Frames.ip(router, VIP, Frames.ICMP, Frames.icmp(router, VIP, 3, 4, 1400, quoted)));
            assertThat(told(trace, "packet", "from", "to", "answer", "outFrom", "outTo"))
                    .containsExactly(
                            "icmp-error 192.0.2.1:80 198.51.100.7:4711 false" + " 10.9.0.1:8080 198.51.100.7:4711");
        }
    }

    @Test
    void aHandshakeByCookieIsToldAsItIsOnTheWire() throws Exception {
        cookies = ServiceSpec.SynCookies.ALWAYS;
        put(SchedulerKind.RR, ForwardingMethod.NAT, 1);
        try (Trace trace = trace(1, 100)) {
            ByteBuffer greeting = ByteBuffer.wrap(send(4711, SYN).frame());
            assertThat(told(trace, "packet", "server", "verdict", "why"))
                    .containsExactly("syn - sent answered with a SYN cookie");
            byte[] proof = Frames.tcp(CLIENT, 4711, VIP, 80, ACK, new byte[0]);
            ByteBuffer.wrap(proof).putInt(4, 0x1234_5679).putInt(8, greeting.getInt(14 + 20 + 4) + 1);
            run(Frames.ip(CLIENT, VIP, Frames.TCP, proof));
            assertThat(told(trace, "packet", "server", "chosen", "verdict", "outTo"))
                    .containsExactly("cookie s1 turn sent 10.9.0.1:8080");
        }
    }

    @Test
    void onlyEveryNthPacketIsToldAndNoMoreThanWanted() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        try (Trace trace = trace(10, 3)) {
            for (int i = 0; i < 25; i++) {
                send(i + 1, SYN);
            }
            assertThat(trace.isOver()).isTrue();
            assertThat(told(trace, "from")).containsExactly("198.51.100.7:1", "198.51.100.7:11", "198.51.100.7:21");
            assertThat(trace.seen()).isEqualTo(25);
            for (int i = 0; i < 25; i++) {
                send(i + 1, SYN);
            }
            assertThat(decisions(trace)).isEmpty();
        }
    }

    @Test
    void whatDoesNotFitIsCountedAndTheRestIsTold() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        try (Trace trace = trace(1, 100_000)) {
            for (int i = 0; i < 3_500; i++) {
                send(4711, ACK);
            }
            int told = decisions(trace).size();
            assertThat(told).isBetween(2_250, 2_350);
            assertThat(trace.lost()).isEqualTo(3_500 - told);
            send(4711, ACK);
            assertThat(decisions(trace)).hasSize(1);
        }
    }

    @Test
    void oneTraceAtATimeAndNothingIsLeftOfIt() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        byte[] before = vip();
        try (Trace trace = trace(1, 10)) {
            assertThat(vip()).isNotEqualTo(before);
            assertThatThrownBy(() -> trace(1, 10))
                    .isInstanceOf(RefusedException.class)
                    .hasMessageContaining("a trace of web is running already");
            send(1, SYN);
            assertThat(trace.seen()).isEqualTo(1);
        }
        assertThat(vip()).isEqualTo(before);
        assertThatThrownBy(() -> engine.trace("other", 1, 1, index -> ""))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("does not forward other");
        try (Trace trace = trace(1, 10)) {
            assertThat(decisions(trace)).isEmpty();
        }
    }

    @Test
    void aDaemonThatStartsEndsTheTraceOfTheOneBefore() throws Exception {
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        byte[] before = vip();
        Trace forgotten = trace(1, 10);
        engine = newEngine();
        engine.adopt();
        assertThat(vip()).isEqualTo(before);
        assertThat(bench.plane().traceLeft()).isZero();
        send(1, SYN);
        assertThat(decisions(forgotten)).isEmpty();
        put(SchedulerKind.MH, ForwardingMethod.DR, 1);
        try (Trace trace = trace(1, 10)) {
            send(1, SYN);
            assertThat(decisions(trace)).containsExactly("syn slot s1 sent -");
        }
    }

    /** Of one of them: the kernel's table has no order, and adoption may change what there is of one. */
    private byte[] vip() throws Exception {
        return bench.plane().endpoints().stream()
                .filter(each -> each.endpoint().protocol() == Protocol.TCP)
                .findFirst()
                .orElseThrow()
                .vip()
                .bytes();
    }
}
