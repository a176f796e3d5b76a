package io.ballast.director.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.ServiceSpec.OnDown;
import io.ballast.core.config.ServiceSpec.ProxyProtocol;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.worker.Farm.Service;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

/** Who gets a connection, and what becomes of it when its server changes or fails. */
@ParameterizedClass
@ValueSource(ints = {1, 2})
final class BalancerTest {
    private final Farm farm;

    BalancerTest(int threads) throws Exception {
        farm = Farm.withWorker(threads);
    }

    @AfterEach
    void close() throws IOException {
        farm.close();
    }

    private static Service service() {
        return Service.on(Farm.freeEndpoint());
    }

    private Origin echo(String name) throws IOException {
        return farm.origin(Origin.echo(name));
    }

    /** An address where nothing listens. */
    private static InetSocketAddress nobody() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, Farm.LOOPBACK)) {
            return (InetSocketAddress) socket.getLocalSocketAddress();
        }
    }

    private static String read(Socket socket, int length) throws IOException {
        return new String(socket.getInputStream().readNBytes(length), StandardCharsets.US_ASCII);
    }

    private static void write(Socket socket, String text) throws IOException {
        socket.getOutputStream().write(text.getBytes(StandardCharsets.US_ASCII));
    }

    private static void assertReset(Socket socket) {
        assertThatThrownBy(() -> socket.getInputStream().read())
                .isInstanceOf(SocketException.class)
                .hasMessageContaining("reset");
    }

    private static ServiceSpec.Timeouts timeouts(
            Duration connect, Duration idle, Duration half, Duration queue, Duration drain) {
        return new ServiceSpec.Timeouts(connect, idle, half, Duration.ofMinutes(1), queue, drain);
    }

    private static final Duration MINUTE = Duration.ofMinutes(1);
    private static final Duration SHORT = Duration.ofMillis(120);

    // ---- Failing servers

    @Test
    void aServerThatRefusesIsReplacedByAnotherBeforeTheClientNotices() throws Exception {
        Service service = service()
                .server("dead", nobody())
                .server("b", echo("b").address())
                .retry(1, 0);
        farm.put(service.forwarding());
        for (int i = 0; i < 6; i++) {
            assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("b:");
        }
        assertThat(farm.statistics("web").servers().getFirst().failures()).isBetween(3L, 6L);
        assertThat(farm.statistics("web").servers().getFirst().active()).isZero();
        assertThat(farm.statistics("web").refused()).isZero();
    }

    @Test
    void withoutRetryTheClientIsReset() throws Exception {
        Service service = service().server("dead", nobody());
        farm.put(service.forwarding());
        assertReset(farm.connect(service.endpoint()));
        Farm.waitFor("counted", () -> farm.statistics("web").refused() == 1);
    }

    @Test
    void whenEveryServerRefusesTheSorryServerAnswers() throws Exception {
        Service service = service()
                .server("dead", nobody())
                .server("deader", nobody())
                .sorry(echo("sorry").address())
                .retry(2, 0);
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 6)).isEqualTo("sorry:");
        assertThat(farm.statistics("web").servers().getLast().server()).isEqualTo("sorry");
        assertThat(farm.statistics("web").servers().getLast().connections()).isEqualTo(1);
    }

    @Test
    void aServerThatDoesNotAnswerTheHandshakeIsLeftAfterTheConnectTimeout() throws Exception {
        // A listener whose queue is full drops further handshakes.
        try (ServerSocket full = new ServerSocket(0, 1, Farm.LOOPBACK)) {
            List<Socket> fillers = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                Socket filler = new Socket();
                fillers.add(filler);
                try {
                    filler.connect(full.getLocalSocketAddress(), 200);
                } catch (SocketTimeoutException e) {
                    break;
                }
            }
            Service service = service()
                    .server("full", (InetSocketAddress) full.getLocalSocketAddress())
                    .server("b", echo("b").address())
                    .retry(1, 0)
                    .timeouts(timeouts(Duration.ofMillis(200), MINUTE, MINUTE, MINUTE, MINUTE));
            farm.put(service.forwarding());
            assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("b:");
            assertThat(farm.statistics("web").servers().getFirst().failures()).isEqualTo(1);
            for (Socket filler : fillers) {
                filler.close();
            }
        }
    }

    @Test
    void whatTheClientSaidIsSaidAgainWhenAServerDiesBeforeItAnswers() throws Exception {
        for (boolean reset : new boolean[] {true, false}) {
            Origin dying = farm.origin(socket -> {
                socket.getInputStream().readNBytes(7);
                socket.setSoLinger(reset, 0);
            });
            Service service = service()
                    .named("web" + reset)
                    .server("dying", dying.address())
                    .server("b", echo("b").address())
                    .retry(1, 1000);
            farm.put(service.forwarding());
            Socket client = farm.connect(service.endpoint());
            write(client, "request");
            assertThat(read(client, 9)).isEqualTo("b:request");
            write(client, "next");
            assertThat(read(client, 4)).isEqualTo("next");
            assertThat(farm.statistics("web" + reset).servers().getFirst().failures())
                    .isEqualTo(1);
        }
    }

    @Test
    void theRepetitionKeepsTheClientsEnd() throws Exception {
        Origin dying = farm.origin(socket -> {
            socket.getInputStream().readAllBytes();
            socket.setSoLinger(true, 0);
        });
        Service service = service()
                .server("dying", dying.address())
                .server("b", echo("b").address())
                .retry(1, 1000);
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        write(client, "request");
        client.shutdownOutput();
        assertThat(new String(client.getInputStream().readAllBytes(), StandardCharsets.US_ASCII))
                .isEqualTo("b:request");
        Farm.waitFor("ended", () -> farm.statistics("web").active() == 0);
    }

    @Test
    void whatIsTooLongOrAnsweredAlreadyIsNotSaidAgain() throws Exception {
        Origin dying = farm.origin(socket -> {
            socket.getInputStream().readNBytes(7);
            socket.setSoLinger(true, 0);
        });
        Origin answering = farm.origin(socket -> {
            socket.getOutputStream().write('!');
            socket.getInputStream().readNBytes(7);
            socket.setSoLinger(true, 0);
        });
        Service service = service()
                .server("dying", dying.address())
                .server("answering", answering.address())
                .retry(1, 6);
        farm.put(service.forwarding());
        Socket tooLong = farm.connect(service.endpoint());
        write(tooLong, "request");
        assertReset(tooLong);
        Socket answered = farm.connect(service.endpoint());
        assertThat(read(answered, 1)).isEqualTo("!");
        write(answered, "request");
        assertReset(answered);
    }

    // ---- Limits and queue

    @Test
    void connectionsAboveAServersLimitWaitAndAreServedInOrder() throws Exception {
        Service service =
                service().server("a", echo("a").address(), 1, 1, ServerState.UP).limits(0, 10);
        farm.put(service.forwarding());
        Socket first = farm.connect(service.endpoint());
        assertThat(read(first, 2)).isEqualTo("a:");
        Socket second = farm.connect(service.endpoint());
        Farm.waitFor("queued", () -> farm.statistics("web").queued() == 1);
        Socket third = farm.connect(service.endpoint());
        Farm.waitFor("queued", () -> farm.statistics("web").queued() == 2);
        assertThat(farm.connections("web").stream()
                        .filter(c -> c.state().equals("opening") && c.server().isEmpty()))
                .hasSize(2);
        first.close();
        assertThat(read(second, 2)).isEqualTo("a:");
        assertThat(farm.statistics("web").queued()).isEqualTo(1);
        second.close();
        assertThat(read(third, 2)).isEqualTo("a:");
    }

    @Test
    void aFullQueueTurnsConnectionsAway() throws Exception {
        Service service =
                service().server("a", echo("a").address(), 1, 1, ServerState.UP).limits(0, 1);
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        farm.connect(service.endpoint());
        Farm.waitFor("queued", () -> farm.statistics("web").queued() == 1);
        assertReset(farm.connect(service.endpoint()));
        Farm.waitFor("counted", () -> farm.statistics("web").refused() == 1);
    }

    @Test
    void waitingInTheQueueHasATimeout() throws Exception {
        Service service = service()
                .server("a", echo("a").address(), 1, 1, ServerState.UP)
                .limits(0, 10)
                .timeouts(timeouts(MINUTE, MINUTE, MINUTE, SHORT, MINUTE));
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        assertReset(farm.connect(service.endpoint()));
        Farm.waitFor(
                "left",
                () -> farm.statistics("web").queued() == 0
                        && farm.statistics("web").refused() == 1);
    }

    @Test
    void aClientThatGivesUpLeavesTheQueue() throws Exception {
        Service service =
                service().server("a", echo("a").address(), 1, 1, ServerState.UP).limits(0, 10);
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        Socket impatient = farm.connect(service.endpoint());
        Farm.waitFor("queued", () -> farm.statistics("web").queued() == 1);
        impatient.setSoLinger(true, 0);
        impatient.close();
        Farm.waitFor("left", () -> farm.statistics("web").queued() == 0);
    }

    @Test
    void aServerThatComesUpServesTheQueue() throws Exception {
        Service service =
                service().server("a", echo("a").address(), 1, 1, ServerState.UP).limits(0, 10);
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        Socket waiting = farm.connect(service.endpoint());
        Farm.waitFor("queued", () -> farm.statistics("web").queued() == 1);
        farm.put(service.server("b", echo("b").address()).forwarding());
        assertThat(read(waiting, 2)).isEqualTo("b:");
    }

    @Test
    void aboveTheServicesLimitNothingIsAcceptedAndClientsWaitInTheListenQueue() throws Exception {
        Service service = service().server("a", echo("a").address()).limits(2, 0);
        farm.put(service.forwarding());
        Socket first = farm.connect(service.endpoint());
        Socket second = farm.connect(service.endpoint());
        assertThat(read(first, 2) + read(second, 2)).isEqualTo("a:a:");
        Socket third = farm.connect(service.endpoint());
        write(third, "early");
        assertThat(farm.statistics("web").connections()).isEqualTo(2);
        first.close();
        assertThat(read(third, 7)).isEqualTo("a:early");
        assertThat(farm.statistics("web").connections()).isEqualTo(3);
        farm.put(service.limits(0, 0).forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
    }

    // ---- States

    @Test
    void theSorryServerAnswersWhileNoServerIsUpAndLeavesWithTheFirst() throws Exception {
        Origin a = echo("a");
        Service service = service()
                .server("a", a.address(), 1, 0, ServerState.DOWN)
                .sorry(echo("sorry").address());
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 6)).isEqualTo("sorry:");
        farm.put(service.server("a", a.address()).forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        assertThat(farm.statistics("web").servers().getLast().connections()).isEqualTo(1);
    }

    @Test
    void withNoServerAndNoSorryServerTheClientIsReset() throws Exception {
        Service service = service().server("a", echo("a").address(), 1, 0, ServerState.DOWN);
        farm.put(service.forwarding());
        assertReset(farm.connect(service.endpoint()));
    }

    @Test
    void weightZeroDrainsAndTheEndIsTold() throws Exception {
        Origin a = echo("a");
        Service service =
                service().server("a", a.address()).server("b", echo("b").address());
        farm.put(service.forwarding());
        Socket first = farm.connect(service.endpoint());
        assertThat(read(first, 2)).isEqualTo("a:");
        farm.put(service.server("a", a.address(), 0, 0, ServerState.UP).forwarding());
        for (int i = 0; i < 3; i++) {
            assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("b:");
        }
        write(first, "still served");
        assertThat(read(first, 12)).isEqualTo("still served");
        assertThat(farm.events).noneMatch(event -> event.startsWith("drained"));
        first.close();
        assertThat(farm.waitForEvent("drained")).isEqualTo("drained web/a 0");
    }

    @Test
    void aDisabledServersConnectionsEndWithTheDrainTimeout() throws Exception {
        Origin a = echo("a");
        Service service = service()
                .server("a", a.address())
                .server("b", echo("b").address())
                .timeouts(timeouts(MINUTE, MINUTE, MINUTE, MINUTE, SHORT));
        farm.put(service.forwarding());
        Socket first = farm.connect(service.endpoint());
        assertThat(read(first, 2)).isEqualTo("a:");
        farm.put(service.server("a", a.address(), 1, 0, ServerState.DISABLED).forwarding());
        assertReset(first);
        assertThat(farm.waitForEvent("drained")).isEqualTo("drained web/a 1");
    }

    @Test
    void aRemovedServersConnectionsGoOnUntilTheDrainTimeout() throws Exception {
        Origin a = echo("a");
        Service service =
                service().server("a", a.address()).server("b", echo("b").address());
        farm.put(service.forwarding());
        Socket first = farm.connect(service.endpoint());
        assertThat(read(first, 2)).isEqualTo("a:");
        farm.put(service.without("a").forwarding());
        write(first, "on");
        assertThat(read(first, 2)).isEqualTo("on");
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("b:");
        farm.put(service.forwarding());
        assertThat(farm.statistics("web").servers().getFirst().active()).isEqualTo(1);
        assertThat(farm.statistics("web").servers().getFirst().connections()).isEqualTo(1);
    }

    @Test
    void connectionsOfADownServerAreKeptOrResetAsTheServiceSays() throws Exception {
        for (OnDown onDown : OnDown.values()) {
            Origin a = echo("a");
            Service service =
                    service().named("web" + onDown).server("a", a.address()).onDown(onDown);
            farm.put(service.forwarding());
            Socket client = farm.connect(service.endpoint());
            assertThat(read(client, 2)).isEqualTo("a:");
            farm.put(service.server("a", a.address(), 1, 0, ServerState.DOWN).forwarding());
            if (onDown == OnDown.RESET) {
                assertReset(client);
            } else {
                write(client, "on");
                assertThat(read(client, 2)).isEqualTo("on");
            }
        }
    }

    @Test
    void aServerThatMovesGetsNewConnectionsAtItsNewAddress() throws Exception {
        Service service = service().server("a", echo("old").address());
        farm.put(service.forwarding());
        Socket before = farm.connect(service.endpoint());
        assertThat(read(before, 4)).isEqualTo("old:");
        farm.put(service.server("a", echo("new").address()).forwarding());
        assertThat(read(farm.connect(service.endpoint()), 4)).isEqualTo("new:");
        write(before, "on");
        assertThat(read(before, 2)).isEqualTo("on");
    }

    @Test
    void aRemovedServiceStopsListeningAndItsConnectionsEndWithTheDrainTimeout() throws Exception {
        Service service =
                service().server("a", echo("a").address()).timeouts(timeouts(MINUTE, MINUTE, MINUTE, MINUTE, SHORT));
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        assertThat(read(client, 2)).isEqualTo("a:");
        farm.run(() -> {
            farm.engine.remove("web");
            return null;
        });
        Farm.waitFor("closed", () -> {
            try (Socket probe = new Socket()) {
                probe.connect(service.endpoint().socketAddress());
                return false;
            } catch (IOException e) {
                return true;
            }
        });
        assertReset(client);
    }

    @Test
    void aPersistentClientComesBackToItsServer() throws Exception {
        Service service = service()
                .server("a", echo("a").address())
                .server("b", echo("b").address())
                .persistent(MINUTE);
        farm.put(service.forwarding());
        for (int i = 0; i < 5; i++) {
            Socket client = farm.connect(service.endpoint());
            assertThat(read(client, 2)).isEqualTo("a:");
            client.close();
        }
        InetSocketAddress a = service.forwarding().servers().getFirst().address();
        farm.put(service.server("a", a, 1, 0, ServerState.DOWN).forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("b:");
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("b:");
    }

    // ---- Time-outs and clients

    @Test
    void anIdleConnectionEnds() throws Exception {
        Service service =
                service().server("a", echo("a").address()).timeouts(timeouts(MINUTE, SHORT, MINUTE, MINUTE, MINUTE));
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        assertThat(new String(client.getInputStream().readAllBytes(), StandardCharsets.US_ASCII))
                .isEqualTo("a:");
        Farm.waitFor("ended", () -> farm.statistics("web").active() == 0);
    }

    @Test
    void aHalfClosedConnectionEndsSooner() throws Exception {
        Origin stubborn = farm.origin(socket -> {
            socket.getOutputStream().write('x');
            socket.shutdownOutput();
            socket.getInputStream().readAllBytes();
        });
        Service service =
                service().server("a", stubborn.address()).timeouts(timeouts(MINUTE, MINUTE, SHORT, MINUTE, MINUTE));
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        assertThat(client.getInputStream().readAllBytes()).hasSize(1);
        Farm.waitFor("ended", () -> farm.statistics("web").active() == 0 && stubborn.openConnections() == 0);
    }

    @Test
    void badMannersOfSomeClientsDoNotHarmOthers() throws Exception {
        Origin swallow = farm.origin(socket -> {
            InputStream in = socket.getInputStream();
            socket.getOutputStream().write(in.read());
            Thread.sleep(60_000);
        });
        Service service = service().server("a", swallow.address());
        farm.put(service.forwarding());
        List<Socket> silent = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            silent.add(farm.connect(service.endpoint()));
            Socket resets = farm.connect(service.endpoint());
            resets.setSoLinger(true, 0);
            resets.close();
            Socket ends = farm.connect(service.endpoint());
            ends.shutdownOutput();
        }
        Socket floods = farm.connect(service.endpoint());
        Thread flood = Thread.ofVirtual().start(() -> {
            byte[] block = new byte[100_000];
            try {
                while (true) {
                    floods.getOutputStream().write(block);
                }
            } catch (IOException e) {
                // the test is over
            }
        });
        Socket polite = farm.connect(service.endpoint());
        write(polite, "?");
        assertThat(read(polite, 1)).isEqualTo("?");
        // What the server does not read stays with the flooder.
        long[] last = {-1};
        Farm.waitFor("the flood stops", () -> {
            long now = farm.statistics("web").bytesIn();
            boolean still = now == last[0] && now > 100_000;
            last[0] = now;
            return still;
        });
        assertThat(last[0]).isLessThan(64L * 1024 * 1024);
        floods.close();
        flood.join();
        for (Socket socket : silent) {
            socket.close();
        }
    }

    // ---- PROXY protocol

    private byte[] headerThatArrives(ProxyProtocol version, Socket[] client, int length) throws Exception {
        Origin origin = farm.origin(socket -> Thread.sleep(60_000));
        Service service =
                service().named(version.name()).server("a", origin.address()).proxy(version);
        farm.put(service.forwarding());
        client[0] = farm.connect(service.endpoint());
        write(client[0], "GET");
        Socket atOrigin = Objects.requireNonNull(origin.accepted.poll(10, TimeUnit.SECONDS));
        return atOrigin.getInputStream().readNBytes(length);
    }

    @Test
    void proxyVersion1TellsBothAddresses() throws Exception {
        Socket[] client = new Socket[1];
        byte[] first = headerThatArrives(ProxyProtocol.V1, client, 30);
        String expected =
                "PROXY TCP4 127.0.0.1 127.0.0.1 " + client[0].getLocalPort() + " " + client[0].getPort() + "\r\nGET";
        assertThat(new String(first, StandardCharsets.US_ASCII)).isEqualTo(expected.substring(0, 30));
    }

    @Test
    void proxyVersion2TellsBothAddresses() throws Exception {
        Socket[] client = new Socket[1];
        byte[] header = headerThatArrives(ProxyProtocol.V2, client, 28 + 3);
        String expected = "0d0a0d0a000d0a515549540a" + "2111000c" + "7f0000017f000001"
                + String.format("%04x%04x", client[0].getLocalPort(), client[0].getPort())
                + "474554";
        assertThat(HexFormat.of().formatHex(header)).isEqualTo(expected);
    }
}
