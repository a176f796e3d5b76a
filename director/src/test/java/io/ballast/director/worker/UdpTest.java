package io.ballast.director.worker;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.worker.Farm.Service;
import java.io.Closeable;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Flows of datagrams. */
final class UdpTest {
    private final Farm farm = Farm.withWorker(1);
    private final List<Closeable> toClose = new ArrayList<>();

    UdpTest() throws Exception {}

    @AfterEach
    void close() throws IOException {
        for (Closeable closeable : toClose) {
            closeable.close();
        }
        farm.close();
    }

    /** Answers each datagram with its name, the text and the port that it came from. */
    private DatagramChannel origin(String name) throws IOException {
        DatagramChannel channel = DatagramChannel.open().bind(new InetSocketAddress(Farm.LOOPBACK, 0));
        toClose.add(channel);
        Thread.ofVirtual().start(() -> {
            ByteBuffer bytes = ByteBuffer.allocate(70_000);
            while (true) {
                try {
                    InetSocketAddress from = (InetSocketAddress) channel.receive(bytes.clear());
                    String text = StandardCharsets.US_ASCII.decode(bytes.flip()).toString();
                    String answer = name + ":" + text + ":" + from.getPort();
                    channel.send(ByteBuffer.wrap(answer.getBytes(StandardCharsets.US_ASCII)), from);
                } catch (IOException e) {
                    return;
                }
            }
        });
        return channel;
    }

    private static InetSocketAddress address(DatagramChannel channel) throws IOException {
        return (InetSocketAddress) channel.getLocalAddress();
    }

    private static Service service() throws IOException {
        try (DatagramSocket probe = new DatagramSocket(new InetSocketAddress(Farm.LOOPBACK, 0))) {
            return Service.on(new Endpoint(Farm.LOOPBACK, probe.getLocalPort(), Endpoint.Protocol.UDP));
        }
    }

    private DatagramSocket client(Service service) throws IOException {
        DatagramSocket socket = new DatagramSocket(new InetSocketAddress(Farm.LOOPBACK, 0));
        toClose.add(socket);
        socket.setSoTimeout(10_000);
        // Connected, so an answer from any other address than the service's would not arrive.
        socket.connect(service.endpoint().socketAddress());
        return socket;
    }

    private static String ask(DatagramSocket client, String text) throws IOException {
        send(client, text);
        DatagramPacket answer = new DatagramPacket(new byte[70_000], 70_000);
        client.receive(answer);
        return new String(answer.getData(), 0, answer.getLength(), StandardCharsets.US_ASCII);
    }

    private static void send(DatagramSocket client, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        client.send(new DatagramPacket(bytes, bytes.length));
    }

    private void put(Service service) {
        farm.put(service.forwarding());
        farm.statistics("web");
    }

    @Test
    void aFlowStaysWithItsServerAndFlowsAreSpread() throws Exception {
        Service service = service().server("a", address(origin("a"))).server("b", address(origin("b")));
        put(service);
        DatagramSocket one = client(service);
        DatagramSocket two = client(service);
        String first = ask(one, "1");
        assertThat(first).startsWith("a:1:");
        assertThat(ask(two, "2")).startsWith("b:2:");
        assertThat(ask(one, "1")).isEqualTo(first);
        assertThat(farm.statistics("web").connections()).isEqualTo(2);
        assertThat(farm.statistics("web").active()).isEqualTo(2);
        assertThat(farm.connections("web")).hasSize(2).allMatch(c -> c.state().equals("established"));
        ConnectionFilter toB =
                new ConnectionFilter("web", Optional.empty(), "b", Optional.empty(), Optional.of(Protocol.UDP));
        assertThat(farm.connections(new ConnectionQuery(toB, ConnectionQuery.Task.LIST, 9))
                        .connections())
                .singleElement()
                .matches(c -> c.server().equals("b"));
        assertThat(farm.connections(new ConnectionQuery(toB, ConnectionQuery.Task.COUNT, 0))
                        .counts())
                .containsExactly(new ConnectionReport.Count("web", "b", 0, 1, 0));
        assertThat(farm.connections(new ConnectionQuery(toB, ConnectionQuery.Task.KILL, 0))
                        .total())
                .isEqualTo(1);
        assertThat(farm.connections("web"))
                .singleElement()
                .matches(c -> c.server().equals("a"));
    }

    @Test
    void largeDatagramsPassWhole() throws Exception {
        Service service = service().server("a", address(origin("a")));
        put(service);
        String big = "x".repeat(60_000);
        assertThat(ask(client(service), big)).startsWith("a:" + big);
    }

    @Test
    void aDatagramWithoutContentIsOneToo() throws Exception {
        Service service = service().server("a", address(origin("a")));
        put(service);
        try (DatagramChannel client = DatagramChannel.open()) {
            // Unconnected: the JDK sends no empty datagram on a connected socket.
            client.send(ByteBuffer.allocate(0), service.endpoint().socketAddress());
            ByteBuffer answer = ByteBuffer.allocate(100);
            client.receive(answer);
            assertThat(StandardCharsets.US_ASCII.decode(answer.flip()).toString())
                    .startsWith("a::");
        }
    }

    @Test
    void aSilentFlowEndsAfterItsTimeout() throws Exception {
        Duration minute = Duration.ofMinutes(1);
        Service service = service()
                .server("a", address(origin("a")))
                .timeouts(new ServiceSpec.Timeouts(minute, minute, minute, Duration.ofMillis(150), minute, minute));
        put(service);
        ask(client(service), "1");
        Farm.waitFor("the flow's end", () -> farm.statistics("web").active() == 0);
        assertThat(farm.workers.getFirst().descriptors.open()).isZero();
    }

    @Test
    void theNextDatagramOfAFlowWhoseServerIsDownGoesToAnother() throws Exception {
        Service service = service().server("a", address(origin("a"))).server("b", address(origin("b")));
        put(service);
        DatagramSocket client = client(service);
        assertThat(ask(client, "1")).startsWith("a:");
        put(service.server("a", service.forwarding().servers().getFirst().address(), 1, 0, ServerState.DOWN));
        assertThat(ask(client, "2")).startsWith("b:");
        assertThat(farm.statistics("web").servers().getFirst().active()).isZero();
    }

    @Test
    void aDrainingServerKeepsItsFlows() throws Exception {
        Service service = service().server("a", address(origin("a"))).server("b", address(origin("b")));
        put(service);
        DatagramSocket client = client(service);
        assertThat(ask(client, "1")).startsWith("a:");
        put(service.server("a", service.forwarding().servers().getFirst().address(), 0, 0, ServerState.UP));
        assertThat(ask(client, "2")).startsWith("a:");
        assertThat(ask(client(service), "3")).startsWith("b:");
        assertThat(ask(client(service), "4")).startsWith("b:");
    }

    @Test
    void aServerThatIsNotThereIsCountedAndLeft() throws Exception {
        DatagramChannel dead = origin("dead");
        Service service = service().server("dead", address(dead)).server("b", address(origin("b")));
        dead.close();
        put(service);
        DatagramSocket client = client(service);
        send(client, "lost");
        Farm.waitFor(
                "failure", () -> farm.statistics("web").servers().getFirst().failures() == 1);
        assertThat(ask(client, "2")).startsWith("b:2");
        assertThat(ask(client, "3")).startsWith("b:3");
    }

    @Test
    void aFloodOfAddressesIsBoundedAndTheLongestSilentMakePlace() throws Exception {
        Service service = service().server("a", address(origin("a"))).limits(10, 0);
        put(service);
        List<DatagramSocket> clients = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            DatagramSocket client = client(service);
            clients.add(client);
            ask(client, "hello");
            ask(clients.getFirst(), "still here");
        }
        assertThat(farm.statistics("web").active()).isEqualTo(10);
        assertThat(farm.statistics("web").connections()).isEqualTo(30);
        assertThat(farm.workers.getFirst().descriptors.open()).isLessThanOrEqualTo(10);
        farm.waitForEvent("longest silent");
        assertThat(ask(clients.getFirst(), "and here")).startsWith("a:and here");
    }

    @Test
    void theSorryServerAnswersWhileNoServerIsUp() throws Exception {
        InetSocketAddress a = address(origin("a"));
        Service service = service().server("a", a, 1, 0, ServerState.DOWN).sorry(address(origin("sorry")));
        put(service);
        assertThat(ask(client(service), "1")).startsWith("sorry:");
        put(service.server("a", a));
        assertThat(ask(client(service), "1")).startsWith("a:");
    }
}
