package io.ballast.director.xdp;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.sim.SimulatedLoop;
import io.ballast.core.sim.VirtualTime;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.Trace;
import io.ballast.director.sync.ConnectionTable;
import io.ballast.linux.neighbour.state.Resolution;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.junit.jupiter.api.Test;

class XdpOnDemandTest {
    private static final InetAddress FRONT = InetAddress.ofLiteral("192.0.2.1");
    private static final InetAddress BACK = InetAddress.ofLiteral("10.0.0.1");

    private final VirtualTime time = new VirtualTime();
    private final SimulatedLoop loop = time.newLoop("control");
    private final SimulatedLoop beside = time.newLoop("beside");
    private final List<String> calls = new ArrayList<>();
    private String broken = "";
    private XdpDirector.Capacity asked = XdpDirector.Capacity.DEFAULT;
    private Map<InetAddress, String> impostors = Map.of();
    private final Map<InetAddress, Resolution.Hop> ways = new HashMap<>();
    private Map<InetAddress, String> unreachable = Map.of();
    private List<XdpDirector.Attachment> attachments = List.of(new XdpDirector.Attachment("eth0", "native", ""));
    private String unasked = "";
    private PathProbe.Answer answer = PathProbe.Answer.ACCEPTS;
    private int rounds;

    private final class Fake implements XdpOnDemand.Opened {
        @Override
        public String name() {
            return "fake";
        }

        @Override
        public void put(Forwarding service) {
            calls.add("put " + service.service());
        }

        @Override
        public void remove(String service) {
            calls.add("remove " + service);
        }

        @Override
        public void retain(Set<String> services) {
            calls.add("retain " + new TreeSet<>(services));
        }

        @Override
        public ConnectionTable share(Map<InetAddress, String> ways) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Trace trace(String service, int every, int limit) {
            throw new UnsupportedOperationException();
        }

        @Override
        public XdpOnDemand.Condition condition() {
            return new XdpOnDemand.Condition(
                    List.of(), Map.of(), List.of(), new FlowPressure(8, 1).occupancy(), Map.of());
        }

        @Override
        public Map<InetAddress, Resolution.Hop> ways() {
            return ways;
        }

        @Override
        public List<XdpDirector.Attachment> attachments() {
            return attachments;
        }

        @Override
        public Map<InetAddress, String> unreachable() {
            return unreachable;
        }

        @Override
        public CompletionStage<List<ServiceStatistics>> statistics() {
            return CompletableFuture.completedFuture(List.of());
        }

        @Override
        public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
            return CompletableFuture.completedFuture(ConnectionReport.EMPTY);
        }

        @Override
        public void close() {
            calls.add("close");
        }
    }

    private final XdpOnDemand engine = new XdpOnDemand(
            loop,
            new EngineEvents() {
                @Override
                public void listening(String service, Endpoint endpoint) {}

                @Override
                public void notListening(String service, Endpoint endpoint, String reason) {
                    calls.add(service + " not listening: " + reason);
                }

                @Override
                public void drained(String service, String server, int closed) {}

                @Override
                public void pressure(boolean on, String reason) {}

                @Override
                public void note(boolean warning, String subject, String message) {
                    calls.add("note " + message);
                }
            },
            new XdpOnDemand.Kernel() {
                @Override
                public List<String> devices(Set<InetAddress> addresses, Set<InetAddress> translated) {
                    List<String> devices = new ArrayList<>();
                    if (addresses.contains(FRONT)) {
                        devices.add("eth0");
                    }
                    if (addresses.contains(BACK)) {
                        devices.add("eth1");
                    }
                    return devices;
                }

                @Override
                public XdpOnDemand.Opened open(List<String> devices, XdpDirector.Capacity capacity, OptionalLong seed)
                        throws IOException {
                    asked = capacity;
                    if (!broken.isEmpty()) {
                        throw new IOException(broken);
                    }
                    calls.add("open " + devices);
                    return new Fake();
                }

                @Override
                public Map<InetAddress, String> impostors(List<String> devices, Set<Inet4Address> addresses) {
                    assertThat(addresses).isNotEmpty();
                    return impostors;
                }

                @Override
                public XdpOnDemand.Heard answers(List<XdpOnDemand.Asked> paths, Set<InetAddress> services) {
                    rounds++;
                    XdpOnDemand.Heard heard = XdpOnDemand.Heard.nothing();
                    for (XdpOnDemand.Asked path : paths) {
                        if (unasked.isEmpty()) {
                            heard.answers().put(path, answer);
                        } else {
                            heard.unasked().put(path, unasked);
                        }
                    }
                    return heard;
                }

                @Override
                public void dismantle() throws IOException {
                    if (!broken.isEmpty()) {
                        throw new IOException(broken);
                    }
                    calls.add("dismantle");
                }
            },
            beside);

    private static Forwarding service(String name, InetAddress address) {
        return Forwardings.of(name, ForwardingMethod.DR, new Endpoint(address, 80, Endpoint.Protocol.TCP));
    }

    private List<String> after(Runnable step) {
        calls.clear();
        loop.execute(step);
        time.runFor(Duration.ofSeconds(1));
        return calls;
    }

    @Test
    void itIsThereWhileAServiceWantsIt() {
        assertThat(after(() -> {
                    engine.put(service("a", FRONT));
                    engine.put(service("b", FRONT));
                }))
                .containsExactly("open [eth0]", "put a", "put b", "retain [a, b]");
        assertThat(after(() -> engine.put(service("c", FRONT)))).containsExactly("put c");
        assertThat(after(() -> engine.put(service("d", BACK))))
                .as("another interface: let go, and taken over on both")
                .containsExactly(
                        "put d",
                        "close",
                        "open [eth0, eth1]",
                        "put a",
                        "put b",
                        "put c",
                        "put d",
                        "retain [a, b, c, d]");
        assertThat(after(() -> List.of("a", "b", "c").forEach(engine::remove)))
                .containsExactly("remove a", "remove b", "remove c");
        assertThat(after(() -> engine.remove("d"))).containsExactly("remove d", "close", "dismantle");
        assertThat(after(() -> engine.put(service("a", FRONT)))).containsExactly("open [eth0]", "put a", "retain [a]");
        assertThat(after(engine::close)).containsExactly("close");
    }

    @Test
    void moreServicesGetMoreRoom() {
        XdpDirector.Capacity room = XdpDirector.Capacity.DEFAULT;
        after(() -> {
            for (int i = 0; i < room.services(); i++) {
                engine.put(service("s" + i, FRONT));
            }
        });
        assertThat(asked).isEqualTo(room);
        assertThat(after(() -> engine.put(service("one-more", FRONT))))
                .startsWith("put one-more", "close", "open [eth0]");
        assertThat(asked.services()).isEqualTo(room.services() * 3 / 2 + 1);
        assertThat(asked.connections()).isEqualTo(room.connections());
        assertThat(after(() -> engine.put(service("another", FRONT)))).containsExactly("put another");
        after(() -> {
            for (int i = 0; i < room.services(); i++) {
                engine.remove("s" + i);
            }
            List.of("one-more", "another").forEach(engine::remove);
        });
        after(() -> engine.put(service("first", FRONT)));
        assertThat(asked).isEqualTo(room);
    }

    @Test
    void theFirstRangeOfPortsGetsAProgramThatLooksForRanges() {
        after(() -> engine.put(service("single", FRONT)));
        assertThat(asked.features().ranges()).isFalse();
        Endpoint range = new Endpoint(FRONT, 8000, 8999, Endpoint.Protocol.UDP);
        assertThat(after(() -> engine.put(Forwardings.of("range", ForwardingMethod.DR, range))))
                .containsExactly(
                        "put range", "close", "open [eth0]", "put single", "put range", "retain [range, single]");
        assertThat(asked.features().ranges()).isTrue();
        Endpoint other = new Endpoint(FRONT, 9000, 9999, Endpoint.Protocol.UDP);
        assertThat(after(() -> engine.put(Forwardings.of("other", ForwardingMethod.DR, other))))
                .containsExactly("put other");
    }

    @Test
    void whatAnEarlierProcessLeftGoesWhereNothingIsWanted() {
        assertThat(after(engine::settle)).containsExactly("dismantle");
        assertThat(after(engine::settle)).isEmpty();
        broken = "not permitted";
        assertThat(after(() -> engine.put(service("a", FRONT)))).containsExactly("a not listening: not permitted");
        assertThat(after(() -> engine.remove("a"))).containsExactly("note not permitted");
        broken = "";
        calls.clear();
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls).containsExactly("dismantle");
    }

    @Test
    void whatCannotBeHadIsSaidOnceAndTriedAgain() {
        broken = "no bpffs";
        assertThat(after(() -> engine.put(service("a", FRONT)))).containsExactly("a not listening: no bpffs");
        assertThat(after(() -> engine.put(service("b", FRONT)))).containsExactly("b not listening: no bpffs");
        calls.clear();
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls).isEmpty();
        broken = "not permitted";
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls).containsExactly("a not listening: not permitted", "b not listening: not permitted");
        broken = "";
        calls.clear();
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls).containsExactly("open [eth0]", "put a", "put b", "retain [a, b]");
    }

    @Test
    void whatIsPutWhileItOpensIsThereAndWhatIsRemovedIsNot() {
        assertThat(after(() -> {
                    engine.put(service("a", FRONT));
                    loop.execute(() -> engine.remove("a"));
                    loop.execute(() -> engine.put(service("b", FRONT)));
                }))
                .last()
                .isEqualTo("retain [b]");
        List<String> end = new ArrayList<>();
        assertThat(after(() -> engine.dismantle().thenRun(() -> end.add("done"))))
                .containsExactly("close", "dismantle");
        assertThat(end).containsExactly("done");
    }

    @Test
    void whoAnswersForTheAddressAsWellIsSaidOnceUntilItEnds() {
        impostors = Map.of(FRONT, "10.1.0.3");
        assertThat(after(() -> engine.put(service("a", FRONT))))
                .last()
                .asString()
                .contains("10.1.0.3 answers ARP");
        calls.clear();
        time.runFor(Duration.ofMinutes(5));
        assertThat(calls).isEmpty();
        assertThat(engine.warnings()).singleElement().asString().contains("arp_ignore");
        impostors = Map.of();
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls).singleElement().asString().contains("nobody else");
        assertThat(engine.warnings()).isEmpty();
    }

    @Test
    void thatServersCannotBeAskedIsSaidOnceUntilTheyCan() {
        unasked = "there is no address: add one";
        Forwarding web = withServers(ForwardingMethod.DR, Endpoint.Protocol.TCP, ServerState.UP, ServerState.UP);
        assertThat(after(() -> engine.put(web)))
                .last()
                .isEqualTo("note web: whether its servers take its traffic is not watched, because there is no"
                        + " address: add one");
        calls.clear();
        time.runFor(Duration.ofMinutes(5));
        assertThat(calls).isEmpty();
        assertThat(engine.warnings())
                .singleElement()
                .asString()
                .startsWith("web: whether")
                .endsWith("add one");
        Forwarding down = withServers(ForwardingMethod.DR, Endpoint.Protocol.TCP, ServerState.DOWN, ServerState.DOWN);
        after(() -> engine.put(down));
        time.runFor(Duration.ofMinutes(1));
        assertThat(engine.warnings()).as("nobody to ask, but nothing is better").hasSize(1);
        after(() -> engine.put(web));
        unasked = "";
        calls.clear();
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls).containsExactly("note web: whether its servers take its traffic is watched again");
        assertThat(engine.warnings()).isEmpty();
    }

    private Forwarding withServers(ForwardingMethod method, Endpoint.Protocol protocol, ServerState... states) {
        List<Forwarding.Server> servers = new ArrayList<>();
        for (int i = 0; i < states.length; i++) {
            InetAddress address = InetAddress.ofLiteral("10.1.0." + (i + 1));
            ways.put(
                    address, new Resolution.Hop(1, "eth0", new MacAddress(1), new MacAddress(2), 1500, FRONT, address));
            servers.add(new Forwarding.Server("www" + (i + 1), new InetSocketAddress(address, 80), 1, 0, states[i]));
        }
        return Forwardings.of("web", method, SchedulerKind.MH, List.of(new Endpoint(FRONT, 80, protocol)), servers);
    }

    @Test
    void aServerThatDoesNotTakeTheTrafficIsNamedWhenItWasFoundTwice() {
        answer = PathProbe.Answer.SILENT;
        after(() -> engine.put(
                withServers(ForwardingMethod.TUNNEL, Endpoint.Protocol.TCP, ServerState.UP, ServerState.DOWN)));
        calls.clear();
        time.runFor(Duration.ofSeconds(3));
        assertThat(rounds).isEqualTo(1);
        assertThat(calls).isEmpty();
        time.runFor(Duration.ofSeconds(5));
        assertThat(calls)
                .singleElement()
                .asString()
                .contains("web/www1 is up, but does not take the service's traffic (192.0.2.1:80/tcp does not answer"
                        + " through the tunnel): is 192.0.2.1 on its lo");
        assertThat(engine.troubles("web"))
                .containsExactly(Map.entry(
                        "www1",
                        "does not take the service's traffic (192.0.2.1:80/tcp does not answer through the tunnel)"));
        assertThat(engine.warnings()).singleElement().asString().startsWith("web/www1 is up, but");
        calls.clear();
        time.runFor(Duration.ofMinutes(5));
        assertThat(calls).as("said once").isEmpty();

        answer = PathProbe.Answer.REFUSES;
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls)
                .singleElement()
                .asString()
                .contains("web/www1 is up, but refuses connections to 192.0.2.1:80");
        calls.clear();
        answer = PathProbe.Answer.ACCEPTS;
        time.runFor(Duration.ofMinutes(1));
        assertThat(calls).containsExactly("note web/www1 takes the service's traffic at 192.0.2.1:80/tcp again");
        assertThat(engine.troubles("web")).isEmpty();
    }

    @Test
    void oneUnansweredRoundIsNoFinding() {
        answer = PathProbe.Answer.SILENT;
        after(() -> engine.put(withServers(ForwardingMethod.DR, Endpoint.Protocol.TCP, ServerState.UP)));
        time.runFor(Duration.ofSeconds(3));
        answer = PathProbe.Answer.ACCEPTS;
        calls.clear();
        time.runFor(Duration.ofMinutes(5));
        assertThat(calls).isEmpty();
        assertThat(engine.troubles("web")).isEmpty();
    }

    @Test
    void whoCannotBeAskedIsNotSpokenOf() {
        answer = PathProbe.Answer.SILENT;
        after(() -> engine.put(withServers(ForwardingMethod.DR, Endpoint.Protocol.UDP, ServerState.UP)));
        time.runFor(Duration.ofMinutes(2));
        assertThat(rounds).as("UDP").isZero();
        after(() -> engine.put(withServers(ForwardingMethod.FULLNAT, Endpoint.Protocol.TCP, ServerState.UP)));
        time.runFor(Duration.ofMinutes(2));
        assertThat(rounds).as("the checks ask the same way").isZero();
        ways.clear();
        unreachable = Map.of(InetAddress.ofLiteral("10.1.0.1"), "eth0 has no carrier");
        assertThat(engine.troubles("web")).containsExactly(Map.entry("www1", "is not sent to: eth0 has no carrier"));
    }

    private static Forwarding auto(Forwarding service) {
        return service.by(EngineKind.AUTO, service.method());
    }

    @Test
    void whatAnotherEngineMayHaveIsTakenWhereTheProgramIsAtItsBestOnEveryInterface() {
        attachments = List.of(
                new XdpDirector.Attachment("eth0", "native", ""),
                new XdpDirector.Attachment("eth1", "", "another program is attached"));
        assertThat(after(() -> {
                    engine.put(service("a", FRONT));
                    engine.put(auto(service("b", FRONT)));
                }))
                .startsWith("open [eth0]", "put a", "b not listening: eth1: another program is attached", "retain [a]");
        assertThat(after(() -> engine.remove("b"))).containsExactly("remove b");
        attachments = List.of(new XdpDirector.Attachment("eth0", "generic", ""));
        assertThat(after(() -> engine.put(auto(service("b", FRONT)))))
                .singleElement()
                .asString()
                .startsWith("b not listening: the driver of eth0 has no native XDP");
        engine.remove("b");
        attachments = List.of(new XdpDirector.Attachment("eth0", "native", ""));
        assertThat(after(() -> engine.put(auto(service("b", FRONT))))).containsExactly("put b");
        attachments = List.of(new XdpDirector.Attachment("eth0", "", "there is no interface eth0; it is waited for"));
        assertThat(after(() -> engine.put(auto(service("b", FRONT)))))
                .as("what it has it keeps")
                .containsExactly("put b");
    }

    @Test
    void whatAnotherEngineMayHaveWaitsForTheInterfacesThatItNeeds() {
        after(() -> engine.put(service("a", FRONT)));
        assertThat(after(() -> engine.put(auto(service("b", BACK)))))
                .containsExactly("close", "open [eth0, eth1]", "put a", "put b", "retain [a, b]");
    }

    @Test
    void whatNobodyWantsAnyMoreBecauseItCannotBeHadIsNotTriedAgain() {
        broken = "not permitted";
        assertThat(after(() -> engine.put(auto(service("a", FRONT)))))
                .containsExactly("a not listening: not permitted");
        broken = "";
        assertThat(after(() -> engine.remove("a"))).containsExactly("dismantle");
        calls.clear();
        time.runFor(Duration.ofMinutes(5));
        assertThat(calls).isEmpty();
    }
}
