package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.address;
import static io.ballast.director.xdp.Village.VIP4;
import static io.ballast.director.xdp.Village.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.director.RecordedEvents;
import io.ballast.director.sync.ConnectionSync;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Connections of the kernel's TCP over a director that ends and another one, with tables of its own, that takes its
 * place: the interfaces have one program at a time, so the second waits until the first one's is gone.
 */
@Timeout(300)
final class ConnectionSyncTest {
    private static final int CONNECTIONS = Integer.getInteger("ballast.connections", 200);
    private static final XdpDirector.Capacity CAPACITY =
            new XdpDirector.Capacity(16, 256, 4, Math.max(10_000, 16 * CONNECTIONS));
    private static final List<String> DEVICES = List.of("eth0", "eth1", "eth2");
    private static final String SECRET = "only the directors know";

    private final List<String> events = new CopyOnWriteArrayList<>();
    private final List<AutoCloseable> open = new ArrayList<>();
    private Village village;

    @BeforeEach
    void build() throws Exception {
        village = new Village();
    }

    @AfterEach
    void tearDown() throws Exception {
        if (village != null) {
            for (AutoCloseable each : open.reversed()) {
                each.close();
            }
            XdpDirector.dismantle(village.bpffs, "first");
            XdpDirector.dismantle(village.bpffs, "second");
            village.close();
        }
    }

    private XdpDirector director(String instance, long seed) throws Exception {
        XdpDirector director = village.director.call(() -> XdpDirector.open(
                village.loop,
                new RecordedEvents(events),
                village.bpffs,
                instance,
                DEVICES,
                CAPACITY,
                OptionalLong.of(seed)));
        open.add(() -> village.onLoop(() -> {
            director.close();
            return true;
        }));
        return director;
    }

    private static Forwarding web(ForwardingMethod method, int... numbers) {
        List<Server> servers = new ArrayList<>();
        for (int number : numbers) {
            InetAddress address = address("10.9." + number + ".2");
            servers.add(new Server("www" + number, new InetSocketAddress(address, Village.PORT), 1, 0, ServerState.UP));
        }
        Endpoint endpoint = new Endpoint(VIP4, Village.PORT, Protocol.TCP);
        return Forwardings.of("web", method, SchedulerKind.RR, List.of(endpoint), servers);
    }

    private void put(XdpDirector director, Forwarding forwarding) throws Exception {
        village.onLoop(() -> {
            director.put(forwarding);
            director.retain(Set.of("web"));
            return true;
        });
        await("the way to the servers is known", () -> village.onLoop(director::isReady));
    }

    private ConnectionSync sync(String node, String own, String peer, String other, XdpDirector director)
            throws Exception {
        ConnectionSync sync = village.director.call(() -> new ConnectionSync(
                new ConnectionSync.Settings(
                        node,
                        Set.of(address(own)),
                        8848,
                        SECRET,
                        List.of(new ConnectionSync.Peer(peer, address(own), address(other)))),
                (warning, whom, message) -> events.add("sync " + whom + ": " + message)));
        open.add(sync);
        sync.table(village.onLoop(() -> director.share(Map.of(VIP4, "eth0"))));
        return sync;
    }

    private static ConnectionSync.State state(ConnectionSync sync) {
        return sync.status().peers().getFirst();
    }

    @ParameterizedTest
    @EnumSource(names = {"DR", "NAT", "FULLNAT"})
    void connectionsOutliveTheirDirector(ForwardingMethod method) throws Exception {
        village.hearReturned();
        if (method == ForwardingMethod.NAT) {
            village.answerByDirector();
        }
        long seed = ConnectionSync.hashOf(SECRET);
        XdpDirector first = director("first", seed);
        put(first, web(method, 1, 2));
        ConnectionSync teller = sync("first", "10.9.0.1", "second", "10.9.1.1", first);
        teller.has(Set.of(VIP4));
        List<Village.Connection> connections = new ArrayList<>();
        List<String> servers = new ArrayList<>();
        connect(connections, servers, CONNECTIONS / 2);
        XdpDirector second = director("second", method == ForwardingMethod.FULLNAT ? seed : 4711);
        put(second, web(method, 2, 1));
        ConnectionSync listener = sync("second", "10.9.1.1", "first", "10.9.0.1", second);
        await("all is told", () -> state(teller).complete() && state(listener).informed());
        connect(connections, servers, CONNECTIONS);
        assertThat(servers).contains("www1", "www2");
        await("changes are told", () -> state(listener).taken() == CONNECTIONS);
        ConnectionSync.State last = state(teller);
        System.out.printf(
                "%s: %d connections told, lag %.1f ms, at most %.1f ms%n",
                method, last.told(), last.lagNanos() / 1e6, last.mostLagNanos() / 1e6);
        // The first one is gone, with its program; nobody has said anything to anybody.
        teller.close();
        village.onLoop(() -> {
            first.close();
            return true;
        });
        XdpDirector.dismantle(village.bpffs, "first");
        listener.has(Set.of(VIP4));
        await(
                "the second one is on the interfaces",
                () -> village.onLoop(() -> second.attachments().stream()
                        .noneMatch(each -> each.mode().isEmpty())));
        int lost = 0;
        for (int i = 0; i < CONNECTIONS; i++) {
            try {
                lost += connections.get(i).ask("still there?").equals(servers.get(i)) ? 0 : 1;
            } catch (IOException e) {
                lost++;
            }
        }
        assertThat(lost).as("of " + CONNECTIONS).isZero();
        assertThat(events).noneMatch(event -> event.startsWith("sync"));
    }

    private void connect(List<Village.Connection> connections, List<String> servers, int until) throws IOException {
        while (connections.size() < until) {
            Village.Connection connection = village.connect(VIP4);
            connections.add(connection);
            servers.add(connection.ask("who are you?"));
        }
    }
}
