package io.ballast.director.worker;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.Endpoint;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.worker.Farm.Service;
import io.ballast.linux.MessageChannel;
import io.ballast.linux.UnixListener;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Workers and node processes come and go; connections do not notice. */
final class WorkerLifeTest {
    private final List<Farm> farms = new ArrayList<>();

    @AfterEach
    void close() throws IOException {
        for (Farm farm : farms.reversed()) {
            farm.close();
        }
    }

    private Farm farm() throws Exception {
        Farm farm = Farm.withoutWorker();
        farms.add(farm);
        return farm;
    }

    private static Service service(Farm farm) throws IOException {
        return Service.on(Farm.freeEndpoint())
                .server("a", farm.origin(Origin.echo("a")).address());
    }

    private static String read(Socket socket, int length) throws IOException {
        return new String(socket.getInputStream().readNBytes(length), StandardCharsets.US_ASCII);
    }

    private static void write(Socket socket, String text) throws IOException {
        socket.getOutputStream().write(text.getBytes(StandardCharsets.US_ASCII));
    }

    @Test
    void theWorkerServesOnWithoutANodeProcessAndTheNextOneAdoptsIt() throws Exception {
        Farm first = farm();
        first.startWorker(1, 10_000);
        Service service = service(first);
        first.put(service.forwarding());
        Socket client = first.connect(service.endpoint());
        assertThat(read(client, 2)).isEqualTo("a:");
        first.run(() -> {
            first.engine.close();
            return null;
        });
        write(client, "alone");
        assertThat(read(client, 5)).isEqualTo("alone");
        assertThat(read(first.connect(service.endpoint()), 2)).isEqualTo("a:");

        Farm second = farm();
        second.attach(first.socketOf(0));
        second.waitForEvent("greeted 1 1");
        second.put(service.forwarding());
        assertThat(second.events).noneMatch(event -> event.startsWith("notListening"));
        write(client, "adopted");
        assertThat(read(client, 7)).isEqualTo("adopted");
        assertThat(read(second.connect(service.endpoint()), 2)).isEqualTo("a:");
        assertThat(second.statistics("web").connections()).isEqualTo(3);
        assertThat(second.statistics("web").active()).isEqualTo(3);
    }

    @Test
    void socketsOnTheirWayToAWorkerTakeOneDescriptorEachAndNoneWhenTheirServicesAreGone() throws Exception {
        Farm farm = farm();
        int many = 1_500;
        long before = openDescriptors();
        try (LazyWorker worker = new LazyWorker()) {
            farm.attach(worker.socket());
            farm.run(() -> {
                for (int i = 0; i < many; i++) {
                    farm.engine.put(numbered(i).forwarding());
                }
                return null;
            });
            for (int i = 0; i < many; i++) {
                farm.waitForEvent("listening s");
            }
            // The table, which is sent first, is more than the channel takes: all sockets still wait to be sent.
            assertThat(openDescriptors() - before).isBetween((long) many, many + 50L);
            farm.run(() -> {
                for (int i = 0; i < many; i++) {
                    farm.engine.remove("s" + i);
                }
                return null;
            });
        }
        farm.waitForEvent("gone");
        Farm.waitFor("descriptors are closed", () -> openDescriptors() < before + 50);
    }

    /** A service at an address of its own, with enough servers for a table that is long. */
    private static Service numbered(int number) {
        byte[] address = {127, 66, (byte) (number >> 8), (byte) number};
        try {
            Endpoint endpoint = new Endpoint(InetAddress.getByAddress(address), 47_811, Endpoint.Protocol.TCP);
            Service service = Service.on(endpoint).named("s" + number);
            for (int server = 0; server < 10; server++) {
                service = service.server("server" + server, new InetSocketAddress(Farm.LOOPBACK, 1 + server));
            }
            return service;
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        }
    }

    private static long openDescriptors() {
        try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
            return all.count();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Introduces itself, does the first thing it is asked for, and reads no more. */
    private static final class LazyWorker implements AutoCloseable {
        private final Path directory = Files.createTempDirectory("ballast-lazy");
        private final UnixListener listener = UnixListener.open(socket());
        private final CompletableFuture<MessageChannel> channel = new CompletableFuture<>();

        LazyWorker() throws IOException {
            Thread.ofVirtual().start(this::serve);
        }

        Path socket() {
            return directory.resolve("worker.sock");
        }

        private void serve() {
            try {
                MessageChannel node = listener.accept();
                JsonObject hello = Wire.message("hello");
                hello.addProperty("protocol", Wire.PROTOCOL);
                hello.addProperty("build", "test");
                hello.addProperty("pid", 1);
                hello.addProperty("draining", false);
                node.send(Wire.bytes(hello), List.of());
                node.send(Wire.bytes(Wire.message("ready")), List.of());
                JsonObject sync =
                        Wire.parse(Objects.requireNonNull(node.receive()).payload());
                sync.addProperty("type", "synced");
                node.send(Wire.bytes(sync), List.of());
                channel.complete(node);
            } catch (IOException e) {
                channel.completeExceptionally(e);
            }
        }

        @Override
        public void close() throws IOException {
            channel.join().close();
            listener.close();
            Files.deleteIfExists(socket());
            Files.delete(directory);
        }
    }

    @Test
    void anAdoptedServiceThatIsNoLongerDescribedGoesAway() throws Exception {
        Farm first = farm();
        first.startWorker(1, 10_000);
        Service old = service(first);
        first.put(old.forwarding());
        first.run(() -> {
            first.engine.close();
            return null;
        });
        Farm second = farm();
        Service next = service(second).named("other");
        second.run(() -> {
            second.engine.put(next.forwarding());
            return null;
        });
        second.attach(first.socketOf(0));
        second.run(() -> {
            second.engine.remove("web");
            return null;
        });
        Farm.waitFor("the old port closes", () -> {
            try (Socket probe = new Socket()) {
                probe.connect(old.endpoint().socketAddress());
                return false;
            } catch (IOException e) {
                return true;
            }
        });
        assertThat(read(second.connect(next.endpoint()), 2)).isEqualTo("a:");
    }

    @Test
    void aNewerNodeProcessReplacesTheOneBefore() throws Exception {
        Farm first = farm();
        first.startWorker(1, 10_000);
        Farm second = farm();
        second.attach(first.socketOf(0));
        first.waitForEvent("gone drained=false");
    }

    @Test
    void whileTheWorkerIsDeadConnectionsWaitAndTheNextWorkerServesThem() throws Exception {
        Farm farm = farm();
        Process first = farm.startProcess("first");
        Service service = service(farm);
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        first.destroyForcibly();
        farm.waitForEvent("gone drained=false");
        List<Socket> waiting = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            Socket client = farm.connect(service.endpoint());
            write(client, "early");
            waiting.add(client);
        }
        ServiceStatistics between = farm.statistics("web");
        assertThat(between.active()).isZero();
        farm.startProcess("second");
        for (Socket client : waiting) {
            assertThat(read(client, 7)).isEqualTo("a:early");
        }
        assertThat(farm.statistics("web").connections()).isEqualTo(between.connections() + 20);
    }

    @Test
    void aReplacedWorkerAcceptsNoMoreAndEndsWithItsLastConnection() throws Exception {
        Farm farm = farm();
        TrafficWorker before = farm.startWorker(1, 10_000);
        Service service = service(farm);
        farm.put(service.forwarding());
        Socket old = farm.connect(service.endpoint());
        assertThat(read(old, 2)).isEqualTo("a:");
        TrafficWorker after = farm.startWorker(2, 10_000);
        Farm.waitFor("the old one has stopped accepting", before::isDraining);
        for (int i = 0; i < 10; i++) {
            assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        }
        assertThat(before.descriptors.open()).isEqualTo(2);
        assertThat(after.descriptors.open()).isEqualTo(20);
        assertThat(farm.statistics("web").active()).isEqualTo(11);
        write(old, "still here");
        assertThat(read(old, 10)).isEqualTo("still here");
        old.close();
        farm.waitForEvent("gone drained=true");
        assertThat(before.exit().get(10, TimeUnit.SECONDS)).isZero();
        assertThat(farm.statistics("web").connections()).isEqualTo(11);
        assertThat(farm.statistics("web").bytesIn()).isEqualTo(10);
    }

    @Test
    void theLastWordsOfAWorkerAreHeardThoughQuestionsMeetItsClosedEnd() throws Exception {
        Farm farm = farm();
        try (UnixListener listener = UnixListener.open(farm.socketOf(0))) {
            var _ = farm.beginAttaching(farm.socketOf(0));
            try (MessageChannel worker = listener.accept()) {
                JsonObject hello = Wire.message("hello");
                hello.addProperty("protocol", Wire.PROTOCOL);
                hello.addProperty("build", "test");
                hello.addProperty("pid", 1);
                hello.addProperty("draining", true);
                worker.send(hello.toString());
                worker.send(Wire.message("ready").toString());
                farm.waitForEvent("greeted");
                // So much that the reader is not through with it when the sender finds the channel closed.
                JsonArray zeros = new JsonArray();
                for (int i = 0; i < 60_000; i++) {
                    zeros.add(0);
                }
                JsonObject much = Wire.message("of a later build");
                much.add("zeros", zeros);
                for (int i = 0; i < 5; i++) {
                    worker.send(much.toString());
                }
                JsonObject bye = Wire.message("bye");
                bye.add("services", new JsonArray());
                worker.send(bye.toString());
            }
            for (int i = 0; i < 20; i++) {
                farm.run(farm.engine::statistics);
            }
            farm.waitForEvent("gone drained=true");
        }
    }

    @Test
    void outOfDescriptorsItStopsAcceptingSaysSoAndRecovers() throws Exception {
        Farm farm = farm();
        farm.startWorker(1, 8);
        Service service = service(farm);
        farm.put(service.forwarding());
        List<Socket> served = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            Socket client = farm.connect(service.endpoint());
            assertThat(read(client, 2)).isEqualTo("a:");
            served.add(client);
        }
        Socket waiting = farm.connect(service.endpoint());
        assertThat(farm.waitForEvent("pressure")).startsWith("pressure true: out of file descriptors");
        served.getFirst().close();
        assertThat(read(waiting, 2)).isEqualTo("a:");
        assertThat(farm.waitForEvent("pressure")).startsWith("pressure false");
    }

    @Test
    void theSystemsOwnRefusalOfDescriptorsIsSurvivedToo() throws Exception {
        Farm farm = farm();
        Process worker = farm.startProcess("worker");
        Service service = service(farm);
        farm.put(service.forwarding());
        assertThat(read(farm.connect(service.endpoint()), 2)).isEqualTo("a:");
        // Less than the worker has read at its start, so only accept's EMFILE can tell it.
        long open;
        try (var files = Files.list(Path.of("/proc/" + worker.pid() + "/fd"))) {
            open = files.count();
        }
        assertThat(new ProcessBuilder("prlimit", "--pid", Long.toString(worker.pid()), "--nofile=" + (open + 1) + ":")
                        .inheritIO()
                        .start()
                        .waitFor())
                .isZero();
        List<Socket> clients = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            clients.add(farm.connect(service.endpoint()));
        }
        assertThat(farm.waitForEvent("pressure")).startsWith("pressure true");
        assertThat(new ProcessBuilder("prlimit", "--pid", Long.toString(worker.pid()), "--nofile=" + (open + 100) + ":")
                        .inheritIO()
                        .start()
                        .waitFor())
                .isZero();
        assertThat(farm.waitForEvent("pressure")).startsWith("pressure false");
        // Whoever was accepted without a descriptor left for the server was turned away; the others are served now.
        int servedNow = 0;
        for (Socket client : clients) {
            try {
                servedNow += read(client, 2).equals("a:") ? 1 : 0;
            } catch (IOException e) {
                // turned away
            }
        }
        assertThat(servedNow).isGreaterThanOrEqualTo(4);
    }

    @Test
    void aPortInUseIsExplainedAndTakenAsSoonAsItIsFree() throws Exception {
        Farm farm = farm();
        farm.startWorker(1, 10_000);
        ServerSocket squatter = new ServerSocket(0, 1, Farm.LOOPBACK);
        Endpoint endpoint = new Endpoint(Farm.LOOPBACK, squatter.getLocalPort(), Endpoint.Protocol.TCP);
        Service service =
                Service.on(endpoint).server("a", farm.origin(Origin.echo("a")).address());
        farm.run(() -> {
            farm.engine.put(service.forwarding());
            return null;
        });
        assertThat(farm.waitForEvent("notListening"))
                .contains("in use by")
                .contains("(pid " + ProcessHandle.current().pid());
        squatter.close();
        farm.waitForEvent("listening web " + endpoint);
        assertThat(read(farm.connect(endpoint), 2)).isEqualTo("a:");
    }

    @Test
    void anAddressOfAnotherMachineIsExplained() throws Exception {
        Farm farm = farm();
        Endpoint endpoint = new Endpoint(InetAddress.ofLiteral("203.0.113.7"), 8080, Endpoint.Protocol.TCP);
        farm.run(() -> {
            farm.engine.put(Service.on(endpoint).forwarding());
            return null;
        });
        assertThat(farm.waitForEvent("notListening"))
                .contains("no interface of this machine has the address 203.0.113.7");
    }

    @Test
    void anEndpointMovesFromOneServiceToAnotherWithoutClosing() throws Exception {
        Farm farm = farm();
        farm.startWorker(2, 10_000);
        Service old = service(farm).named("old");
        farm.put(old.forwarding());
        Service next = Service.on(old.endpoint())
                .named("next")
                .server("b", farm.origin(Origin.echo("b")).address());
        farm.run(() -> {
            farm.engine.put(next.forwarding());
            farm.engine.remove("old");
            return null;
        });
        Farm.waitFor("the new service answers", () -> {
            try {
                return read(farm.connect(old.endpoint()), 2).equals("b:");
            } catch (IOException e) {
                throw new AssertionError("refused in between", e);
            }
        });
        assertThat(farm.events).noneMatch(event -> event.startsWith("notListening"));
    }

    @Test
    void manyServicesAreForwardedAndOneOfThemChanges() throws Exception {
        Farm farm = farm();
        farm.startWorker(2, 10_000);
        Origin origin = farm.origin(Origin.echo("a"));
        List<Service> services = new ArrayList<>();
        int port = Farm.freeEndpoint().port();
        for (int i = 0; i < 700; i++) {
            InetAddress address = InetAddress.ofLiteral("127.1." + i / 250 + "." + (i % 250 + 1));
            Endpoint endpoint = new Endpoint(address, port, Endpoint.Protocol.TCP);
            services.add(Service.on(endpoint).named("s" + i).server("a", origin.address()));
        }
        farm.run(() -> {
            services.forEach(service -> farm.engine.put(service.forwarding()));
            return null;
        });
        for (Service service : services) {
            farm.waitForEvent("listening " + service.forwarding().service() + " ");
        }
        for (int i = 0; i < services.size(); i += 97) {
            assertThat(read(farm.connect(services.get(i).endpoint()), 2)).isEqualTo("a:");
        }
        InetSocketAddress other = farm.origin(Origin.echo("b")).address();
        farm.put(services.get(500).server("a", other).forwarding());
        assertThat(read(farm.connect(services.get(500).endpoint()), 2)).isEqualTo("b:");
        assertThat(farm.statistics("s0").connections()).isEqualTo(1);
        assertThat(farm.statistics("s500").connections()).isEqualTo(1);
    }

    @Test
    void onlyTheOwnerMayConnectToTheControlSocket() throws Exception {
        Farm farm = farm();
        farm.startWorker(1, 10_000);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(farm.socketOf(0))))
                .isEqualTo("rw-------");
    }

    @Test
    void wrongArgumentsAreAnsweredInOneLine() throws Exception {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        TrafficWorker.class.getName(),
                        "--sockett",
                        "x")
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).isEqualTo(2);
        assertThat(output).contains("unknown option --sockett").contains("usage");
    }
}
