package io.ballast.lab.load;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.lab.topology.Echo;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LoadGeneratorTest {
    private static final Duration TIMEOUT = Duration.ofSeconds(20);

    private final AtomicInteger connections = new AtomicInteger();
    private final AtomicInteger requests = new AtomicInteger();
    private final ServerSocket listener;

    LoadGeneratorTest() throws IOException {
        listener = new ServerSocket(0, 4096, InetAddress.getLoopbackAddress());
    }

    @AfterEach
    void close() throws IOException {
        listener.close();
    }

    /** What the server does with one request; the socket is closed afterwards unless it says to keep it. */
    private interface Behaviour {
        boolean answer(Socket socket) throws IOException, InterruptedException;
    }

    private void serve(Behaviour behaviour) {
        Thread.startVirtualThread(() -> {
            while (!listener.isClosed()) {
                try {
                    Socket socket = listener.accept();
                    connections.incrementAndGet();
                    Thread.startVirtualThread(() -> converse(socket, behaviour));
                } catch (IOException e) {
                    return;
                }
            }
        });
    }

    private void converse(Socket socket, Behaviour behaviour) {
        try (socket) {
            InputStream stream = socket.getInputStream();
            BufferedReader in = new BufferedReader(new InputStreamReader(stream, StandardCharsets.US_ASCII));
            boolean more = true;
            while (more) {
                String line = in.readLine();
                if (line == null) {
                    return;
                }
                if (line.isEmpty()) {
                    requests.incrementAndGet();
                    more = behaviour.answer(socket);
                }
            }
        } catch (IOException | InterruptedException e) {
            // the client has gone, or the test has ended
        }
    }

    private static void send(Socket socket, int status, String body) throws IOException {
        socket.getOutputStream()
                .write(("HTTP/1.1 " + status + " X\r\nContent-Length: " + body.length() + "\r\n\r\n" + body)
                        .getBytes(StandardCharsets.US_ASCII));
    }

    private LoadPlan plan(double rate, Duration timeout, boolean keepAlive) {
        return new LoadPlan(
                new InetSocketAddress(listener.getInetAddress(), listener.getLocalPort()),
                "/index.html",
                rate,
                timeout,
                keepAlive,
                200,
                "Test Page");
    }

    private LoadResult runUntil(LoadPlan plan, int requestsSeen) throws InterruptedException {
        try (LoadGenerator generator = new LoadGenerator(plan)) {
            waitUntilRequests(requestsSeen);
            return generator.stop();
        }
    }

    private void waitUntilRequests(int seen) throws InterruptedException {
        long giveUp = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (requests.get() < seen) {
            assertThat(System.nanoTime()).as("deadline").isLessThan(giveUp);
            Thread.sleep(1);
        }
    }

    @Test
    void everyRequestHasItsOwnConnectionAndItsServerIsNamed() throws Exception {
        serve(socket -> {
            send(socket, 200, "www1: Test Page");
            return false;
        });
        LoadResult result = runUntil(plan(500, TIMEOUT, false), 100);
        assertThat(result.failures()).isZero();
        assertThat(result.requests()).isGreaterThanOrEqualTo(100).isEqualTo(connections.get());
        assertThat(result.servers()).containsOnlyKeys("www1");
        assertThat(result.downtime()).isEqualTo(Duration.ZERO);
    }

    @Test
    void keptConnectionsAreUsedAgain() throws Exception {
        serve(socket -> {
            send(socket, 200, "www1: Test Page");
            return true;
        });
        LoadResult result = runUntil(plan(200, TIMEOUT, true), 100);
        assertThat(result.failures()).isZero();
        assertThat(connections.get()).isLessThan(requests.get() / 2);
    }

    @Test
    void aStallIsSeenByEveryRequestThatWasDueInIt() throws Exception {
        CountDownLatch stallOver = new CountDownLatch(1);
        AtomicInteger seen = new AtomicInteger();
        serve(socket -> {
            if (seen.incrementAndGet() > 50) {
                stallOver.await(60, TimeUnit.SECONDS);
            }
            send(socket, 200, "www1: Test Page");
            return false;
        });
        try (LoadGenerator generator = new LoadGenerator(plan(500, TIMEOUT, false))) {
            waitUntilRequests(50);
            Thread.sleep(500); // the stall itself, not a wait for something
            stallOver.countDown();
            LoadResult result = generator.stop();
            assertThat(result.failures()).isZero();
            // 250 requests were due in the stall. A generator that waits for its answers would have sent one.
            assertThat(result.requests()).isGreaterThanOrEqualTo(250);
            assertThat(result.p99()).isGreaterThan(Duration.ofMillis(400));
            assertThat(result.p50())
                    .as("half of the stalled requests waited half of it or longer")
                    .isGreaterThan(Duration.ofMillis(100));
            assertThat(result.longestGap()).isGreaterThan(Duration.ofMillis(400));
        }
    }

    @Test
    void aSilentServerIsATimeOut() throws Exception {
        CountDownLatch end = new CountDownLatch(1);
        serve(socket -> {
            end.await(60, TimeUnit.SECONDS);
            return false;
        });
        LoadResult result = runUntil(plan(100, Duration.ofMillis(200), false), 5);
        end.countDown();
        assertThat(result.count(Outcome.TIMEOUT)).isEqualTo(result.requests()).isPositive();
        assertThat(result.longestGap()).isEqualTo(result.duration());
    }

    @Test
    void anAnswerThatTricklesDoesNotOutliveTheTimeOut() throws Exception {
        serve(socket -> {
            for (int i = 0; i < 600; i++) {
                socket.getOutputStream().write('H');
                Thread.sleep(50);
            }
            return false;
        });
        LoadResult result = runUntil(plan(100, Duration.ofMillis(300), false), 3);
        assertThat(result.count(Outcome.TIMEOUT)).isEqualTo(result.requests()).isPositive();
    }

    @Test
    void failuresAreToldByTheirKind() throws Exception {
        serve(socket -> {
            switch (requests.get() % 5) {
                case 0 -> send(socket, 500, "www1: Test Page");
                case 1 -> send(socket, 200, "www1: something else");
                case 2 -> send(socket, 503, "sorry: we will be back soon");
                case 3 -> socket.setSoLinger(true, 0); // so that the close is a reset
                default -> {} // closed without an answer
            }
            return false;
        });
        LoadResult result = runUntil(plan(200, TIMEOUT, false), 50);
        assertThat(result.outcomes())
                .containsOnlyKeys(Outcome.STATUS, Outcome.BODY, Outcome.SORRY, Outcome.RESET, Outcome.CLOSED);
        assertThat(result.failures()).isEqualTo(result.requests() - result.count(Outcome.SORRY));
    }

    @Test
    void aClosedPortIsRefused() throws Exception {
        LoadPlan plan = plan(200, TIMEOUT, false);
        listener.close();
        try (LoadGenerator generator = new LoadGenerator(plan)) {
            long giveUp = System.nanoTime() + Duration.ofSeconds(60).toNanos();
            while (generator.sample().failed() == 0) {
                assertThat(System.nanoTime()).as("deadline").isLessThan(giveUp);
                Thread.sleep(5);
            }
            LoadResult result = generator.stop();
            assertThat(result.count(Outcome.REFUSED))
                    .isEqualTo(result.requests())
                    .isPositive();
        }
    }

    /** Answers every third datagram, gives another a wrong answer and the last none. */
    private static void echo(DatagramSocket socket, Set<Integer> ports) {
        byte[] buffer = new byte[200];
        try {
            for (int i = 0; ; i++) {
                DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
                socket.receive(packet);
                ports.add(packet.getPort());
                String text = new String(packet.getData(), 0, packet.getLength(), StandardCharsets.US_ASCII);
                byte[] answer =
                        Echo.answer("www1", i % 3 == 0 ? text : "another").getBytes(StandardCharsets.US_ASCII);
                if (i % 3 < 2) {
                    socket.send(new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
                }
            }
        } catch (IOException e) {
            // the test has ended
        }
    }

    @Test
    void datagramsHavePortsOfTheirOwnAndAreJudgedByWhatComesBack() throws Exception {
        Set<Integer> ports = ConcurrentHashMap.newKeySet();
        InetSocketAddress target;
        LoadResult result;
        try (DatagramSocket socket = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            target = new InetSocketAddress(socket.getLocalAddress(), socket.getLocalPort());
            Thread.startVirtualThread(() -> echo(socket, ports));
            try (LoadGenerator generator = new LoadGenerator(LoadPlan.datagrams(target, 200, Duration.ofMillis(500)))) {
                long giveUp = System.nanoTime() + Duration.ofSeconds(60).toNanos();
                while (ports.size() < 30) {
                    assertThat(System.nanoTime()).as("deadline").isLessThan(giveUp);
                    Thread.sleep(1);
                }
                result = generator.stop();
            }
            assertThat(ports).hasSize((int) result.requests());
        }
        assertThat(result.outcomes()).containsOnlyKeys(Outcome.OK, Outcome.BODY, Outcome.TIMEOUT);
        assertThat(result.servers()).containsOnlyKeys("www1");
        try (LoadGenerator generator = new LoadGenerator(LoadPlan.datagrams(target, 200, TIMEOUT))) {
            long giveUp = System.nanoTime() + Duration.ofSeconds(60).toNanos();
            while (generator.sample().failed() == 0) {
                assertThat(System.nanoTime()).as("deadline").isLessThan(giveUp);
                Thread.sleep(5);
            }
            assertThat(generator.stop().outcomes()).containsOnlyKeys(Outcome.REFUSED);
        }
    }
}
