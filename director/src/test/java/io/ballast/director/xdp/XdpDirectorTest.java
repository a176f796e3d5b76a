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
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.quic.QuicIds;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.director.RecordedEvents;
import io.ballast.director.ServiceStatistics;
import io.ballast.linux.bpf.BpfMap;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.bpf.XdpLink;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The engine on interfaces: real connections, daemons that come and go, and what else may be on the machine. */
@Timeout(60)
final class XdpDirectorTest {
    private static final XdpDirector.Capacity CAPACITY = new XdpDirector.Capacity(16, 256, 4, 10_000);

    private static final int NOBODYS_PORT = 83;
    private static final int FLOOD = 200_000;

    private final List<String> events = new CopyOnWriteArrayList<>();
    private final Deque<XdpDirector> directors = new ArrayDeque<>();
    private Village village;

    @BeforeEach
    void build() throws Exception {
        village = new Village();
    }

    @AfterEach
    void tearDown() throws Exception {
        if (village != null) {
            for (XdpDirector director : directors) {
                village.onLoop(() -> {
                    director.close();
                    return true;
                });
            }
            XdpDirector.dismantle(village.bpffs, "test");
            village.close();
        }
    }

    private XdpDirector open() throws Exception {
        return open("eth0", CAPACITY);
    }

    private XdpDirector open(String device, XdpDirector.Capacity capacity) throws Exception {
        return open(List.of(device), capacity);
    }

    private XdpDirector open(List<String> devices, XdpDirector.Capacity capacity) throws Exception {
        XdpDirector director = village.director.call(() ->
                XdpDirector.open(village.loop, new RecordedEvents(events), village.bpffs, "test", devices, capacity));
        directors.push(director);
        return director;
    }

    private void close(XdpDirector director) throws Exception {
        village.onLoop(() -> {
            director.close();
            return true;
        });
        directors.remove(director);
    }

    private static Forwarding forwarding(SchedulerKind scheduler, boolean ipv6Servers, int... numbers) {
        List<Server> servers = new ArrayList<>();
        for (int number : numbers) {
            InetAddress address =
                    Frames.address(ipv6Servers ? "2001:db8:9:" + number + "::2" : "10.9." + number + ".2");
            servers.add(new Server("www" + number, new InetSocketAddress(address, Village.PORT), 1, 0, ServerState.UP));
        }
        return Forwardings.of(
                "web",
                ForwardingMethod.DR,
                scheduler,
                Stream.of(VIP4, VIP6)
                        .flatMap(vip ->
                                Stream.of(Protocol.values()).map(protocol -> new Endpoint(vip, Village.PORT, protocol)))
                        .toList(),
                servers);
    }

    private void put(XdpDirector director, Forwarding forwarding) throws Exception {
        village.onLoop(() -> {
            director.put(forwarding);
            director.retain(Set.of("web"));
            return true;
        });
        await("the way to the servers is known", () -> village.onLoop(director::isReady));
    }

    private ServiceStatistics statistics(XdpDirector director) throws Exception {
        return village.onLoop(director::statistics).toCompletableFuture().join().getFirst();
    }

    private Set<String> whoAnswers(InetAddress vip, int connections) throws Exception {
        Set<String> names = new HashSet<>();
        for (int i = 0; i < connections; i++) {
            names.add(village.ask(vip));
        }
        return names;
    }

    @Test
    void connectionsReachTheServersDirectly() throws Exception {
        XdpDirector director = open();
        put(director, forwarding(SchedulerKind.RR, false, 1, 2));
        assertThat(events).contains("listening web 192.0.2.1:80/tcp", "listening web [2001:db8:1::1]:80/tcp");
        assertThat(whoAnswers(VIP4, 4)).containsExactlyInAnyOrder("www1", "www2");
        assertThat(whoAnswers(VIP6, 4)).containsExactlyInAnyOrder("www1", "www2");
        // By way of IPv6 neighbours as well, whatever the family of the service.
        put(director, forwarding(SchedulerKind.RR, true, 1, 2));
        assertThat(whoAnswers(VIP4, 4)).containsExactlyInAnyOrder("www1", "www2");
        assertThat(statistics(director).connections()).isGreaterThanOrEqualTo(12);
        assertThat(village.onLoop(director::attachments))
                .containsExactly(new XdpDirector.Attachment("eth0", "native", ""));
        assertThat(village.onLoop(director::unreachable)).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aQuicConnectionStaysAtItsServerWhereverItsClientGoes(boolean ipv6) throws Exception {
        InetAddress vip = ipv6 ? VIP6 : VIP4;
        InetAddress home = Frames.address(ipv6 ? "2001:db8:9::2" : "10.9.0.2");
        InetAddress away = Frames.address(ipv6 ? "2001:db8:9::77" : "10.9.0.77");
        Village.netlink(
                village.client,
                netlink -> netlink.add(Address.of(Village.index(netlink, "lo"), away, ipv6 ? 128 : 32)));
        XdpDirector director = open();
        put(director, quic(1, 2));
        Set<String> opened = new HashSet<>();
        for (int connection = 0; connection < 20; connection++) {
            opened.add(village.ask(home, vip, QuicDatagrams.longHeader(0, 1, new byte[8])));
        }
        assertThat(opened).isSubsetOf("www1", "www2");
        assertThatIdsLeadToTheirServers(vip, List.of(home, away));
        // The first drains, and its connections go on.
        put(director, quic(2));
        assertThatIdsLeadToTheirServers(vip, List.of(home, away));
        // Another process.
        close(director);
        put(open(), quic(2));
        assertThatIdsLeadToTheirServers(vip, List.of(home, away));
    }

    private void assertThatIdsLeadToTheirServers(InetAddress vip, List<InetAddress> clients) throws Exception {
        for (int server = 1; server <= 2; server++) {
            byte[] id = QuicIds.plain(0, 2, 6).make(new byte[] {0x0a, (byte) server}, new byte[6]);
            for (InetAddress client : clients) {
                // Each time from another port.
                for (int i = 0; i < 5; i++) {
                    assertThat(village.ask(client, vip, QuicDatagrams.shortHeader(id)))
                            .isEqualTo("www" + server);
                }
            }
        }
    }

    private static Forwarding quic(int... numbers) {
        Forwarding plain = forwarding(SchedulerKind.MH, false, numbers);
        return new Forwarding(
                plain.service(),
                plain.listen(),
                plain.scheduler(),
                plain.method(),
                plain.persistence(),
                plain.timeouts(),
                plain.limits(),
                plain.connectRetry(),
                plain.proxyProtocol(),
                plain.onDown(),
                plain.source(),
                plain.servers().stream()
                        .map(s -> new Server(
                                s.name(),
                                s.address(),
                                s.weight(),
                                s.limit(),
                                s.state(),
                                Optional.of("0a0" + s.name().substring(3))))
                        .toList(),
                plain.sorry(),
                Optional.of(new ServiceSpec.Quic(0, 2)));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void withFullNatServersAnswerTheDirector(boolean ipv6) throws Exception {
        XdpDirector director = open(List.of("eth0", "eth1", "eth2"), CAPACITY);
        Forwarding direct = forwarding(SchedulerKind.RR, ipv6, 1, 2);
        put(
                director,
                new Forwarding(
                        direct.service(),
                        direct.listen().stream()
                                .filter(endpoint -> endpoint.ipv6() == ipv6)
                                .toList(),
                        direct.scheduler(),
                        ForwardingMethod.FULLNAT,
                        direct.persistence(),
                        direct.timeouts(),
                        direct.limits(),
                        direct.connectRetry(),
                        direct.proxyProtocol(),
                        direct.onDown(),
                        direct.source(),
                        direct.servers(),
                        direct.sorry()));
        InetAddress vip = ipv6 ? VIP6 : VIP4;
        assertThat(whoAnswers(vip, 4)).containsExactlyInAnyOrder("www1", "www2");
        Village.Connection connection = village.connect(vip);
        String server = connection.ask("short");
        assertThat(connection.ask("long ".repeat(20_000))).isEqualTo(server);
        ServiceStatistics statistics = statistics(director);
        assertThat(statistics.bytesIn()).isGreaterThan(100_000);
        assertThat(statistics.bytesOut()).isGreaterThan(100_000);
        assertThat(events).noneMatch(event -> event.startsWith("not"));
    }

    @ParameterizedTest
    @CsvSource({"NAT, false", "NAT, true", "FULLNAT, false", "FULLNAT, true"})
    void connectionsThatCameByCookiesCarryEverything(ForwardingMethod method, boolean ipv6) throws Exception {
        village.hearReturned();
        if (method == ForwardingMethod.NAT) {
            village.answerByDirector();
        }
        List<String> devices = List.of("eth0", "eth1", "eth2");
        XdpDirector director = open(devices, CAPACITY);
        InetAddress vip = ipv6 ? VIP6 : VIP4;
        Forwarding plain = translated(method, ipv6);
        put(director, plain.with(ServiceSpec.SynCookies.ALWAYS));
        assertThat(whoAnswers(vip, 4)).containsExactlyInAnyOrder("www1", "www2");
        // The client's kernel was connected by the director; that there is nobody it hears after.
        assertThatThrownBy(() -> {
                    Village.Connection nobodys = village.connect(null, new InetSocketAddress(vip, NOBODYS_PORT));
                    nobodys.ask("anybody?");
                    nobodys.ask("really?");
                })
                .hasMessageContaining("reset");
        Village.Connection greeted = village.connect(null, new InetSocketAddress(vip, Village.GREETING_PORT));
        assertThat(greeted.greeted()).isEqualTo(Village.GREETING_LENGTH);
        String greeting = greeted.ask("thanks");
        Village.Connection asking = village.connect(vip);
        String server = asking.ask("short");
        Thread flood = Thread.ofPlatform().start(() -> village.synFlood(vip, 0, FLOOD, XdpAction.TX));
        assertThat(asking.ask("long ".repeat(600_000))).isEqualTo(server);
        assertThat(whoAnswers(vip, 4)).containsExactlyInAnyOrder("www1", "www2");
        flood.join();
        assertThat(village.onLoop(director::statistics)
                        .toCompletableFuture()
                        .join()
                        .getFirst()
                        .connections())
                .isLessThan(100);
        // Without cookies from now on, and by another process.
        put(director, plain);
        assertThat(asking.ask("long ".repeat(20_000))).isEqualTo(server);
        assertThatThrownBy(() -> village.connect(null, new InetSocketAddress(vip, NOBODYS_PORT)))
                .hasMessageContaining("refused");
        close(director);
        assertThat(greeted.ask("still there?")).isEqualTo(greeting);
        put(open(devices, CAPACITY), plain);
        assertThat(asking.ask("long ".repeat(20_000))).isEqualTo(server);
        assertThat(greeted.ask("still there?")).isEqualTo(greeting);
        assertThat(whoAnswers(vip, 4)).containsExactlyInAnyOrder("www1", "www2");
        assertThat(events).noneMatch(event -> event.startsWith("notListening"));
    }

    @Test
    void inAFloodCookiesBeginByThemselvesAndNoConnectionMinds() throws Exception {
        village.hearReturned();
        List<String> devices = List.of("eth0", "eth1", "eth2");
        XdpDirector director = open(devices, CAPACITY);
        Forwarding web = translated(ForwardingMethod.FULLNAT, false).with(ServiceSpec.SynCookies.AUTO);
        put(director, web);
        Village.Connection old = village.connect(VIP4);
        String server = old.ask("before");
        // Of 16,384 places 1,024 may be half open.
        village.synFlood(VIP4, 0, 3_000, XdpAction.REDIRECT);
        await("cookies", () -> events.stream().anyMatch(event -> event.startsWith("warning web: about ")));
        village.synFlood(VIP4, 3_000, 60_000, XdpAction.TX);
        assertThat(old.ask("long ".repeat(20_000))).isEqualTo(server);
        Village.Connection greeted = village.connect(VIP4);
        String other = greeted.ask("by a cookie");
        assertThat(whoAnswers(VIP4, 4)).containsExactlyInAnyOrder("www1", "www2");
        assertThat(village.onLoop(director::condition).exceptions())
                .anyMatch(found ->
                        found.service().equals("web") && found.reason().equals("syn_proven") && found.count() >= 5);
        close(director);
        XdpDirector next = open(devices, CAPACITY);
        put(next, web);
        assertThat(village.onLoop(next::condition).synCookies()).containsExactly(Map.entry("web", true));
        assertThat(old.ask("after")).isEqualTo(server);
        assertThat(greeted.ask("after")).isEqualTo(other);
    }

    private static Forwarding translated(ForwardingMethod method, boolean ipv6) {
        List<Server> servers = forwarding(SchedulerKind.RR, ipv6, 1, 2).servers().stream()
                .map(s ->
                        new Server(s.name(), new InetSocketAddress(s.address().getAddress(), 0), 1, 0, ServerState.UP))
                .toList();
        List<Endpoint> listen = Stream.of(Village.PORT, Village.GREETING_PORT, NOBODYS_PORT)
                .map(port -> new Endpoint(ipv6 ? VIP6 : VIP4, port, Protocol.TCP))
                .toList();
        return Forwardings.of("web", method, SchedulerKind.RR, listen, servers);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theClientOfAnEndedConnectionIsReset(boolean ipv6) throws Exception {
        XdpDirector director = open();
        put(director, forwarding(SchedulerKind.RR, ipv6, 1, 2));
        Village.Connection ended = village.connect(ipv6 ? VIP6 : VIP4);
        Village.Connection other = village.connect(ipv6 ? VIP6 : VIP4);
        String server = ended.ask("before");
        String otherServer = other.ask("before");
        ConnectionReport report = village.onLoop(() -> director.connections(new ConnectionQuery(
                        new ConnectionFilter("web", Optional.empty(), server, Optional.empty(), Optional.empty()),
                        ConnectionQuery.Task.KILL,
                        0)))
                .toCompletableFuture()
                .join();
        assertThat(report.total()).isEqualTo(1);
        assertThatThrownBy(() -> {
                    // A reset that comes while the first is read is seen by the second.
                    ended.ask("after");
                    ended.ask("after");
                })
                .hasMessageContaining("reset");
        assertThat(other.ask("after")).isEqualTo(otherServer);
        assertThat(whoAnswers(ipv6 ? VIP6 : VIP4, 4)).containsExactlyInAnyOrder("www1", "www2");
    }

    @Test
    void aClientsConnectionsReachOneServerAlsoWithTheNextDaemon() throws Exception {
        XdpDirector first = open();
        Forwarding plain = forwarding(SchedulerKind.RR, false, 1, 2);
        List<Endpoint> listen = new ArrayList<>(plain.listen());
        listen.add(new Endpoint(VIP4, Village.OTHER_PORT, Protocol.TCP));
        Forwarding persistent = new Forwarding(
                plain.service(),
                listen,
                plain.scheduler(),
                plain.method(),
                Optional.of(new ServiceSpec.Persistence(Duration.ofMinutes(5), 32, 128)),
                plain.timeouts(),
                plain.limits(),
                plain.connectRetry(),
                plain.proxyProtocol(),
                plain.onDown(),
                plain.source(),
                plain.servers(),
                plain.sorry());
        put(first, persistent);
        String mine = village.ask(null, VIP4, Village.PORT);
        String others = village.ask(Village.OTHER_CLIENT, VIP4, Village.OTHER_PORT);
        assertThat(List.of(mine, others)).containsExactlyInAnyOrder("www1", "www2");
        assertThatClientsReach(mine, others);
        close(first);
        assertThatClientsReach(mine, others);
        put(open(), persistent);
        assertThatClientsReach(mine, others);
        assertThat(whoAnswers(VIP6, 6)).hasSize(1);
    }

    private void assertThatClientsReach(String mine, String others) throws Exception {
        for (int i = 0; i < 6; i++) {
            int port = i % 2 == 0 ? Village.PORT : Village.OTHER_PORT;
            assertThat(village.ask(null, VIP4, port)).isEqualTo(mine);
            assertThat(village.ask(Village.OTHER_CLIENT, VIP4, port)).isEqualTo(others);
        }
    }

    @Test
    void aConnectionOutlivesItsDaemon() throws Exception {
        XdpDirector first = open();
        put(first, forwarding(SchedulerKind.RR, false, 1, 2));
        Village.Connection one = village.connect(VIP4);
        Village.Connection other = village.connect(VIP6);
        String oneServer = one.ask("before");
        String otherServer = other.ask("before");
        long connections = statistics(first).connections();
        close(first);
        assertThat(one.ask("without a daemon")).isEqualTo(oneServer);
        assertThat(whoAnswers(VIP4, 4)).containsExactlyInAnyOrder("www1", "www2");

        events.clear();
        XdpDirector second = open();
        assertThat(one.ask("found")).isEqualTo(oneServer);
        assertThat(other.ask("found")).isEqualTo(otherServer);
        put(second, forwarding(SchedulerKind.RR, false, 1, 2));
        assertThat(events).contains("listening web 192.0.2.1:80/tcp", "listening web [2001:db8:1::1]:80/tcp");
        assertThat(events.getFirst())
                .isEqualTo("note xdp: the engine xdp goes on with its tables in the kernel, which have 1 service");
        assertThat(one.ask("put")).isEqualTo(oneServer);
        assertThat(other.ask("put")).isEqualTo(otherServer);
        assertThat(statistics(second).connections()).isGreaterThanOrEqualTo(connections + 4);
        assertThat(village.onLoop(() -> second.connections(ConnectionQuery.list("web", 100)))
                        .toCompletableFuture()
                        .join()
                        .connections())
                .hasSizeGreaterThanOrEqualTo(2)
                .allSatisfy(each -> assertThat(each.server()).startsWith("www"));
    }

    @Test
    void aServerThatLeftWhileNoDaemonRanKeepsItsConnections() throws Exception {
        XdpDirector first = open();
        put(first, forwarding(SchedulerKind.MH, false, 1));
        Village.Connection connection = village.connect(VIP4);
        assertThat(connection.ask("before")).isEqualTo("www1");
        close(first);
        XdpDirector second = open();
        put(second, forwarding(SchedulerKind.MH, false, 2));
        assertThat(connection.ask("after")).isEqualTo("www1");
        assertThat(whoAnswers(VIP4, 4)).containsExactly("www2");
        close(second);
        // The drain goes on in the next daemon.
        XdpDirector third = open();
        put(third, forwarding(SchedulerKind.MH, false, 2));
        assertThat(connection.ask("later")).isEqualTo("www1");
    }

    @Test
    void whatTheDescriptionHasNoMoreIsRemoved() throws Exception {
        XdpDirector first = open();
        put(first, forwarding(SchedulerKind.MH, false, 1));
        close(first);
        XdpDirector second = open();
        assertThat(village.ask(VIP4)).isEqualTo("www1");
        village.onLoop(() -> {
            second.retain(Set.of());
            return true;
        });
        assertThat(village.onLoop(second::statistics).toCompletableFuture().join())
                .isEmpty();
        assertThat(refused(VIP4)).isTrue();
    }

    /** Whether the director's own kernel answers, which has no such service. */
    private boolean refused(InetAddress vip) throws Exception {
        try {
            village.ask(vip);
            return false;
        } catch (java.net.ConnectException e) {
            return true;
        }
    }

    @Test
    void anInterfaceThatComesBackGetsTheProgramAgain() throws Exception {
        XdpDirector director = open();
        put(director, forwarding(SchedulerKind.MH, false, 1, 2));
        assertThat(whoAnswers(VIP4, 1)).hasSize(1);
        village.cut();
        await("told", () -> events.stream().anyMatch(event -> event.startsWith("notListening web 192.0.2.1:80/tcp:")));
        assertThat(events.getLast()).contains("there is no interface eth0; it is waited for");
        village.joinClient();
        await(
                "attached",
                () -> village.onLoop(director::attachments).getFirst().mode().equals("native"));
        await("told", () -> events.getLast().startsWith("listening web"));
        assertThat(whoAnswers(VIP6, 2)).hasSize(1);
        try (Stream<Path> pins = Files.list(village.bpffs.resolve("ballast/test/links"))) {
            assertThat(pins).containsExactly(village.bpffs.resolve("ballast/test/links/" + village.index("eth0")));
        }
    }

    @Test
    void anInterfaceThatIsNotThereIsWarnedOfOnceAndTheOthersServe() throws Exception {
        XdpDirector director = open(List.of("eth0", "later0"), CAPACITY);
        put(director, forwarding(SchedulerKind.MH, false, 1, 2));
        assertThat(whoAnswers(VIP4, 1)).hasSize(1);
        assertThat(events)
                .containsOnlyOnce("warning later0: there is no interface later0; it is waited for")
                .contains("listening web 192.0.2.1:80/tcp");
        assertThat(village.onLoop(director::attachments))
                .contains(new XdpDirector.Attachment("later0", "", "there is no interface later0; it is waited for"));
    }

    @Test
    void nobodyElsesProgramIsReplaced() throws Exception {
        int eth0 = village.index("eth0");
        try (DataPlane other = DataPlane.load(
                        "director", new DataPlane.Sizes(4, 4, 16, 16, 16, 16), DataPlane.Features.NONE, 1);
                BpfProgram program = other.program("director");
                XdpLink link =
                        village.director.call(() -> XdpLink.attach(program, eth0, "eth0", XdpLink.Mode.NATIVE))) {
            XdpDirector director = open();
            put(director, forwarding(SchedulerKind.MH, false, 1, 2));
            assertThat(events)
                    .filteredOn(event -> event.startsWith("notListening web 192.0.2.1:80/tcp: "))
                    .hasSize(1)
                    .allSatisfy(event -> assertThat(event)
                            .contains("XDP program " + program.info().id() + " \"director\" is attached in native mode")
                            .contains("`ip link set dev eth0 xdp off`"));
            link.detach();
            await("listening", () -> events.getLast().startsWith("listening web"));
            assertThat(whoAnswers(VIP4, 1)).hasSize(1);
        }
    }

    private List<String> pins() throws Exception {
        try (Stream<Path> pins = Files.list(village.bpffs.resolve("ballast/test"))) {
            return pins.map(pin -> pin.getFileName().toString()).sorted().toList();
        }
    }

    private Generation generation(int number) {
        return new Generation(village.bpffs.resolve("ballast/test/tables_" + number));
    }

    /** Overwrites a word of what tells whose tables they are. */
    private void forge(int generation, int at) throws Exception {
        try (BpfMap map = BpfMap.openPinned(generation(generation).folder().resolve("origin"))) {
            byte[] origin = Objects.requireNonNull(map.lookup(new byte[4]));
            origin[at]++;
            map.update(new byte[4], origin);
        }
    }

    @Test
    void aDirectorThatComesToHaveARangeGoesOnOverItsTables() throws Exception {
        XdpDirector first = open();
        put(first, at(Village.PORT, Village.PORT));
        try (Village.Connection connection = village.connect(VIP4)) {
            String server = connection.ask("before");
            close(first);
            XdpDirector second = open("eth0", new XdpDirector.Capacity(16, 256, 4, 10_000, 1));
            assertThat(connection.ask("opened")).isEqualTo(server);
            put(second, at(Village.PORT - 10, Village.PORT + 10));
            assertThat(connection.ask("put")).isEqualTo(server);
            assertThat(whoAnswers(VIP4, 10)).containsExactlyInAnyOrder("www1", "www2");
        }
        assertThat(events).contains("listening web 192.0.2.1:70-90/tcp");
        assertThat(events)
                .contains("note xdp: the engine xdp goes on with its tables in the kernel, which have 1 service;"
                        + " between two packets its program was replaced by one that also looks for ranges of ports");
        assertThat(pins()).containsExactly("links", "tables_1");
    }

    private static Forwarding at(int firstPort, int lastPort) {
        Forwarding web = forwarding(SchedulerKind.RR, false, 1, 2);
        List<Endpoint> listen = List.of(new Endpoint(VIP4, firstPort, lastPort, Protocol.TCP));
        return Forwardings.of("web", ForwardingMethod.DR, SchedulerKind.RR, listen, web.servers());
    }

    @Test
    void anotherVersionsProgramIsReplacedOverItsTables() throws Exception {
        XdpDirector first = open();
        put(first, forwarding(SchedulerKind.RR, false, 1, 2));
        Village.Connection connection = village.connect(VIP4);
        String server = connection.ask("before");
        int id = village.director
                .call(() -> XdpLink.attached(village.index("eth0")))
                .orElseThrow()
                .programId();
        close(first);
        forge(1, Layout.ORIGIN_PROGRAM);
        XdpDirector second = open();
        assertThat(village.director
                        .call(() -> XdpLink.attached(village.index("eth0")))
                        .orElseThrow()
                        .programId())
                .isNotEqualTo(id);
        assertThat(connection.ask("after")).isEqualTo(server);
        put(second, forwarding(SchedulerKind.RR, false, 1, 2));
        assertThat(connection.ask("put")).isEqualTo(server);
        assertThat(events)
                .contains("note xdp: the engine xdp goes on with its tables in the kernel, which have 1 service;"
                        + " between two packets its program was replaced by this version's");
        assertThat(pins()).containsExactly("links", "tables_1");
    }

    @Test
    void anotherLayoutServesUntilThisOnesTablesAreFilled() throws Exception {
        XdpDirector first = open();
        put(first, forwarding(SchedulerKind.MH, false, 1, 2));
        Village.Connection connection = village.connect(VIP4);
        String server = connection.ask("before");
        close(first);
        forge(1, Layout.ORIGIN_LAYOUT);
        // A beginning of something that ended there.
        Files.createDirectory(generation(2).folder());

        XdpDirector second = open();
        assertThat(pins()).containsExactly("links", "tables_1", "tables_3");
        assertThat(connection.ask("while the new tables are empty")).isEqualTo(server);
        put(second, forwarding(SchedulerKind.MH, false, 1, 2));
        await("this version's tables serve", () -> pins().equals(List.of("links", "tables_3")));
        assertThat(connection.ask("a service by hash needs no memory")).isEqualTo(server);
        await("told", () -> events.getLast().startsWith("warning xdp: this version's tables serve now"));
        assertThat(statistics(second).servers()).hasSize(2);
    }

    @Test
    void tablesGrowUnderTheirConnections() throws Exception {
        XdpDirector first = open();
        put(first, forwarding(SchedulerKind.WLC, false, 1, 2));
        Village.Connection connection = village.connect(VIP4);
        String server = connection.ask("before");
        long connections = statistics(first).connections();
        close(first);
        XdpDirector second = open("eth0", new XdpDirector.Capacity(500, 4_096, 8, 10_000));
        assertThat(pins()).containsExactly("links", "tables_2");
        assertThat(connection.ask("after")).isEqualTo(server);
        put(second, forwarding(SchedulerKind.WLC, false, 1, 2));
        assertThat(connection.ask("put")).isEqualTo(server);
        assertThat(statistics(second).connections()).isEqualTo(connections);
        assertThat(statistics(second).active()).isEqualTo(1);
        assertThat(events).anyMatch(event -> event.endsWith("; the tables were made larger"));
    }

    @Test
    void tablesThatMakeNoSenseAreReplaced() throws Exception {
        XdpDirector first = open();
        put(first, forwarding(SchedulerKind.MH, false, 1, 2));
        close(first);
        try (BpfMap map = BpfMap.openPinned(generation(1).folder().resolve("service_notes"))) {
            byte[] note = Objects.requireNonNull(map.lookup(new byte[4]));
            note[Layout.SERVICE_NOTE_SERVERS + 3]++;
            map.update(new byte[4], note);
        }
        XdpDirector second = open();
        assertThat(village.ask(VIP4)).startsWith("www");
        put(second, forwarding(SchedulerKind.MH, false, 1, 2));
        await("new tables serve", () -> pins().equals(List.of("links", "tables_2")));
        assertThat(village.ask(VIP4)).startsWith("www");
        assertThat(events)
                .anyMatch(event -> event.endsWith("the tables that were found are damaged: a number lies beyond them"));
    }

    @Test
    void noPacketIsLostWhileDaemonsComeAndGo() throws Exception {
        XdpDirector director = open();
        put(director, forwarding(SchedulerKind.WLC, false, 1, 2));
        // The wires know their ends.
        assertThat(List.of(village.ask(VIP4), village.ask(VIP6))).hasSize(2);
        Village.Stream stream = village.stream();
        await("packets flow", () -> village.received.get() > 10);
        close(director);
        director = open();
        put(director, forwarding(SchedulerKind.WLC, false, 1, 2));
        // Another schedule, and another program.
        put(director, forwarding(SchedulerKind.MH, false, 2));
        close(director);
        forge(1, Layout.ORIGIN_PROGRAM);
        director = open();
        put(director, forwarding(SchedulerKind.RR, false, 2, 1));
        close(director);
        // Larger tables, and tables of another layout.
        director = open("eth0", new XdpDirector.Capacity(500, 4_096, 8, 10_000));
        put(director, forwarding(SchedulerKind.RR, false, 1));
        close(director);
        forge(2, Layout.ORIGIN_LAYOUT);
        director = open();
        put(director, forwarding(SchedulerKind.SH, false, 1, 2));
        await("this version's tables serve", () -> pins().equals(List.of("links", "tables_3")));
        long before = village.received.get();
        await("packets flow", () -> village.received.get() > before + 100);
        long sent = stream.end();
        await("all have come", () -> village.received.get() == sent);
    }

    @Test
    void aDriverWithoutNativeModeIsWarnedOf() throws Exception {
        XdpDirector director = open("lo", CAPACITY);
        await("told", () -> events.stream().anyMatch(event -> event.startsWith("warning lo: the driver of lo has no")));
        assertThat(village.onLoop(director::attachments))
                .containsExactly(new XdpDirector.Attachment("lo", "generic", ""));
    }

    @Test
    void aServerThatDoesNotAnswerIsNamedOnce() throws Exception {
        XdpDirector director = open();
        Village.netlink(village.servers.getFirst(), netlink -> netlink.setUp(Village.index(netlink, "eth0"), false));
        put(director, forwarding(SchedulerKind.MH, false, 1, 2));
        assertThat(village.onLoop(director::unreachable))
                .containsExactlyEntriesOf(Map.of(Frames.address("10.9.1.2"), "eth1 has no carrier"));
        assertThat(events)
                .filteredOn(event -> event.contains("10.9.1.2"))
                .containsExactly("warning 10.9.1.2: packets for the real server 10.9.1.2 go to the kernel instead:"
                        + " eth1 has no carrier");
        Village.netlink(village.servers.getFirst(), netlink -> netlink.setUp(Village.index(netlink, "eth0"), true));
        await(
                "told",
                () -> events.getLast().equals("note 10.9.1.2: packets can be sent to the real server 10.9.1.2 again"));
        assertThat(village.onLoop(director::unreachable)).isEmpty();
    }

    @Test
    void whatTheKernelRefusesLeavesNothingBehind() throws Exception {
        assertThatThrownBy(() -> open("eth0", new XdpDirector.Capacity(16, 256, 4, 2_000_000_000)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("the kernel refuses the memory for the tables of the engine xdp");
        assertThat(village.bpffs.resolve("ballast/test")).doesNotExist();
        assertThat(village.director.call(() -> XdpLink.attached(village.index("eth0"))))
                .isEmpty();
    }

    @Test
    void withoutPermissionItSaysWhatIsMissing() {
        assertThatThrownBy(() -> village.director.call(() -> Village.withoutCapabilities(() -> XdpDirector.open(
                        village.loop, new RecordedEvents(events), village.bpffs, "test", List.of("eth0"), CAPACITY))))
                .hasMessageStartingWith("the engine xdp cannot be had here: ")
                .hasMessageContaining("CAP_BPF is missing: it is needed to load programs and make maps")
                .hasMessageContaining("CAP_NET_ADMIN is missing");
        assertThat(village.bpffs.resolve("ballast")).doesNotExist();
    }

    @Test
    void interfacesAreFoundByTheirAddresses() throws Exception {
        assertThat(village.director.call(() -> XdpDirector.devicesOf(Set.of(Frames.address("10.9.0.1")))))
                .containsExactly("eth0");
        assertThat(village.director.call(() -> XdpDirector.devicesOf(Set.of())))
                .containsExactly("eth0", "eth1", "eth2");
    }

    @Test
    void dismantlingLeavesNothing() throws Exception {
        XdpDirector director = open();
        put(director, forwarding(SchedulerKind.MH, false, 1, 2));
        directors.remove(director);
        village.onLoop(() -> {
            director.dismantle();
            return true;
        });
        assertThat(village.director.call(() -> XdpLink.attached(village.index("eth0"))))
                .isEmpty();
        assertThat(village.bpffs.resolve("ballast/test")).doesNotExist();
        assertThat(XdpDirector.dismantle(village.bpffs, "test")).isFalse();
        await(
                "no neighbour is kept",
                () -> village.director.call(() -> {
                    try (RouteNetlink netlink = RouteNetlink.open()) {
                        return netlink.neighbours().stream().noneMatch(Neighbour::managed);
                    }
                }));
        assertThat(refused(VIP4)).isTrue();
    }
}
