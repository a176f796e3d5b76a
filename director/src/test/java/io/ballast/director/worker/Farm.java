package io.ballast.director.worker;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.RecordedEvents;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.userspace.UserspaceEngine;
import io.ballast.director.userspace.WorkerEvents;
import io.ballast.director.userspace.WorkerInfo;
import io.ballast.linux.MessageChannel;
import io.ballast.linux.PortHolder;
import io.netty.util.ResourceLeakDetector;
import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** A node's half of the engine and worker processes, all within the test's JVM, with real sockets on loopback. */
final class Farm implements Closeable {
    static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

    static {
        ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.PARANOID);
    }

    private static final Duration BOUND = Duration.ofSeconds(20);

    final BlockingQueue<String> events = new LinkedBlockingQueue<>();
    final UserspaceEngine engine;
    final List<TrafficWorker> workers = new ArrayList<>();
    private final ExecutorService control = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("control").factory());
    private final Path directory;
    private final List<Closeable> toClose = new ArrayList<>();

    Farm() throws IOException {
        directory = Files.createTempDirectory("ballast-farm");
        engine = new UserspaceEngine(control, new RecordedEvents(events));
    }

    /** The node's half alone, for workers that are attached by {@link #attach} or {@link #startProcess}. */
    static Farm withoutWorker() throws IOException {
        return new Farm();
    }

    /** A farm with one worker of so many threads. */
    static Farm withWorker(int threads) throws Exception {
        Farm farm = new Farm();
        farm.startWorker(threads, 10_000);
        return farm;
    }

    /** Starts a further worker and waits until it serves. */
    TrafficWorker startWorker(int threads, int descriptorLimit) throws Exception {
        Path socket = directory.resolve("worker" + workers.size());
        TrafficWorker worker = TrafficWorker.start(new TrafficWorker.Options(socket, threads, "test"), descriptorLimit);
        workers.add(worker);
        attach(socket);
        return worker;
    }

    Path socketOf(int worker) {
        return directory.resolve("worker" + worker);
    }

    /** Starts a worker in a process of its own, killed with the farm, and waits until it serves. */
    Process startProcess(String name, String... shellPrefix) throws Exception {
        Path socket = directory.resolve(name);
        List<String> command = new ArrayList<>(List.of(shellPrefix));
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xmx64m",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("java.class.path"),
                TrafficWorker.class.getName(),
                "--socket",
                socket.toString(),
                "--threads",
                "1"));
        Process process = new ProcessBuilder(command).inheritIO().start();
        toClose.add(() -> {
            process.destroyForcibly();
            process.onExit().join();
            Files.deleteIfExists(socket);
        });
        waitFor("the worker's socket", () -> {
            if (!process.isAlive()) {
                throw new AssertionError("the worker ended with " + process.exitValue());
            }
            try {
                MessageChannel.connect(socket).close();
                return true;
            } catch (IOException e) {
                return false;
            }
        });
        attach(socket);
        return process;
    }

    void attach(Path socket) throws Exception {
        beginAttaching(socket).get(BOUND.toSeconds(), TimeUnit.SECONDS);
    }

    /** Attaches the worker; the answer comes when it serves. */
    CompletableFuture<WorkerInfo> beginAttaching(Path socket) throws IOException {
        CompletableFuture<WorkerInfo> serving = new CompletableFuture<>();
        MessageChannel channel = MessageChannel.connect(socket);
        control.execute(() -> engine.attach(channel, new WorkerEvents() {
            @Override
            public void greeted(WorkerInfo worker, Map<String, Forwarding> forwards) {
                events.add("greeted " + worker.services() + " " + worker.listeners());
            }

            @Override
            public void serving(WorkerInfo worker) {
                serving.complete(worker);
            }

            @Override
            public void gone(WorkerInfo worker, boolean drained, String reason) {
                events.add("gone drained=" + drained);
            }
        }));
        return serving;
    }

    /** Puts the service and waits until its endpoints listen. */
    void put(Forwarding forwarding) {
        run(() -> {
            engine.put(forwarding);
            return null;
        });
        for (Endpoint endpoint : forwarding.listen()) {
            if (endpoint.protocol() == Endpoint.Protocol.TCP) {
                waitFor("listening on " + endpoint, () -> listens(endpoint));
            }
        }
        // What the worker was told before this question is done when it is answered.
        statistics(forwarding.service());
    }

    private static boolean listens(Endpoint endpoint) {
        return PortHolder.ofTcp(endpoint.socketAddress()).isPresent();
    }

    <T> T run(Callable<T> task) {
        try {
            return control.submit(task).get(BOUND.toSeconds(), TimeUnit.SECONDS);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    ServiceStatistics statistics(String service) {
        CompletionStage<List<ServiceStatistics>> answer = run(engine::statistics);
        try {
            return answer.toCompletableFuture().get(BOUND.toSeconds(), TimeUnit.SECONDS).stream()
                    .filter(figures -> figures.service().equals(service))
                    .findFirst()
                    .orElseThrow();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    List<ConnectionInfo> connections(String service) {
        return connections(ConnectionQuery.list(service, 100)).connections();
    }

    ConnectionReport connections(ConnectionQuery query) {
        CompletionStage<ConnectionReport> answer = run(() -> engine.connections(query));
        try {
            return answer.toCompletableFuture().get(BOUND.toSeconds(), TimeUnit.SECONDS);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** Waits until an event with the text has come; earlier ones are dropped. */
    String waitForEvent(String text) {
        long end = System.nanoTime() + BOUND.toNanos();
        try {
            while (true) {
                String event = events.poll(Math.max(0, end - System.nanoTime()), TimeUnit.NANOSECONDS);
                if (event == null) {
                    throw new AssertionError("no event with '" + text + "'");
                }
                if (event.contains(text)) {
                    return event;
                }
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    static void waitFor(String what, BooleanSupplier condition) {
        long end = System.nanoTime() + BOUND.toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not in time: " + what);
            }
            try {
                Thread.sleep(5);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** A real server, closed with the farm. */
    Origin origin(Origin.Behaviour behaviour) throws IOException {
        Origin origin = new Origin(behaviour);
        toClose.add(origin);
        return origin;
    }

    /** A connection to the service, closed with the farm. */
    Socket connect(Endpoint endpoint) throws IOException {
        Socket socket = new Socket();
        toClose.add(socket);
        socket.setSoTimeout((int) BOUND.toMillis());
        socket.setTcpNoDelay(true);
        socket.connect(endpoint.socketAddress());
        return socket;
    }

    /** An endpoint on loopback that nobody has. */
    static Endpoint freeEndpoint() {
        try (ServerSocket probe = new ServerSocket(0, 1, LOOPBACK)) {
            return new Endpoint(LOOPBACK, probe.getLocalPort(), Endpoint.Protocol.TCP);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() throws IOException {
        for (Closeable closeable : toClose) {
            closeable.close();
        }
        run(() -> {
            engine.close();
            return null;
        });
        for (TrafficWorker worker : workers) {
            worker.close();
            assertThat(worker.buffersInUse())
                    .as("buffers that were not released")
                    .isZero();
        }
        control.shutdown();
        try (var files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(directory);
    }

    /** Makes forwardings for tests; every method returns a changed copy. */
    record Service(Forwarding forwarding) {

        static Service on(Endpoint endpoint) {
            Duration minute = Duration.ofMinutes(1);
            return new Service(new Forwarding(
                    "web",
                    List.of(endpoint),
                    SchedulerKind.RR,
                    ForwardingMethod.PROXY,
                    Optional.empty(),
                    new ServiceSpec.Timeouts(
                            Duration.ofSeconds(5), minute, minute, minute, Duration.ofSeconds(10), minute),
                    new ServiceSpec.Limits(0, 0, 0),
                    new ServiceSpec.ConnectRetry(0, 0),
                    ServiceSpec.ProxyProtocol.OFF,
                    ServiceSpec.OnDown.KEEP,
                    Optional.empty(),
                    List.of(),
                    Optional.empty()));
        }

        Endpoint endpoint() {
            return forwarding.listen().getFirst();
        }

        Service server(String name, InetSocketAddress address) {
            return server(name, address, 1, 0, ServerState.UP);
        }

        /** Adds the server, or changes it. */
        Service server(String name, InetSocketAddress address, int weight, int limit, ServerState state) {
            List<Forwarding.Server> servers = new ArrayList<>(forwarding.servers());
            Forwarding.Server added = new Forwarding.Server(name, address, weight, limit, state);
            int at = 0;
            while (at < servers.size() && !servers.get(at).name().equals(name)) {
                at++;
            }
            if (at < servers.size()) {
                servers.set(at, added);
            } else {
                servers.add(added);
            }
            return with(servers);
        }

        Service without(String name) {
            return with(forwarding.servers().stream()
                    .filter(server -> !server.name().equals(name))
                    .toList());
        }

        private Service with(List<Forwarding.Server> servers) {
            return new Service(new Forwarding(
                    forwarding.service(),
                    forwarding.listen(),
                    forwarding.scheduler(),
                    forwarding.method(),
                    forwarding.persistence(),
                    forwarding.timeouts(),
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    forwarding.onDown(),
                    forwarding.source(),
                    List.copyOf(servers),
                    forwarding.sorry()));
        }

        Service named(String name) {
            return copy(
                    name,
                    forwarding.timeouts(),
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    forwarding.onDown());
        }

        Service timeouts(ServiceSpec.Timeouts timeouts) {
            return copy(
                    forwarding.service(),
                    timeouts,
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    forwarding.onDown());
        }

        Service limits(int connections, int queue) {
            return copy(
                    forwarding.service(),
                    forwarding.timeouts(),
                    new ServiceSpec.Limits(connections, queue, 0),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    forwarding.onDown());
        }

        Service retry(int attempts, int replayBytes) {
            return copy(
                    forwarding.service(),
                    forwarding.timeouts(),
                    forwarding.limits(),
                    new ServiceSpec.ConnectRetry(attempts, replayBytes),
                    forwarding.proxyProtocol(),
                    forwarding.onDown());
        }

        Service proxy(ServiceSpec.ProxyProtocol version) {
            return copy(
                    forwarding.service(),
                    forwarding.timeouts(),
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    version,
                    forwarding.onDown());
        }

        Service onDown(ServiceSpec.OnDown onDown) {
            return copy(
                    forwarding.service(),
                    forwarding.timeouts(),
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    onDown);
        }

        private Service copy(
                String name,
                ServiceSpec.Timeouts timeouts,
                ServiceSpec.Limits limits,
                ServiceSpec.ConnectRetry retry,
                ServiceSpec.ProxyProtocol proxy,
                ServiceSpec.OnDown onDown) {
            return new Service(new Forwarding(
                    name,
                    forwarding.listen(),
                    forwarding.scheduler(),
                    forwarding.method(),
                    forwarding.persistence(),
                    timeouts,
                    limits,
                    retry,
                    proxy,
                    onDown,
                    forwarding.source(),
                    forwarding.servers(),
                    forwarding.sorry()));
        }

        Service sorry(InetSocketAddress address) {
            return new Service(new Forwarding(
                    forwarding.service(),
                    forwarding.listen(),
                    forwarding.scheduler(),
                    forwarding.method(),
                    forwarding.persistence(),
                    forwarding.timeouts(),
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    forwarding.onDown(),
                    forwarding.source(),
                    forwarding.servers(),
                    Optional.of(address)));
        }

        Service persistent(Duration timeout) {
            return new Service(new Forwarding(
                    forwarding.service(),
                    forwarding.listen(),
                    forwarding.scheduler(),
                    forwarding.method(),
                    Optional.of(new ServiceSpec.Persistence(timeout, 32, 128)),
                    forwarding.timeouts(),
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    forwarding.onDown(),
                    forwarding.source(),
                    forwarding.servers(),
                    forwarding.sorry()));
        }

        Service listen(List<Endpoint> endpoints) {
            return new Service(new Forwarding(
                    forwarding.service(),
                    endpoints,
                    forwarding.scheduler(),
                    forwarding.method(),
                    forwarding.persistence(),
                    forwarding.timeouts(),
                    forwarding.limits(),
                    forwarding.connectRetry(),
                    forwarding.proxyProtocol(),
                    forwarding.onDown(),
                    forwarding.source(),
                    forwarding.servers(),
                    forwarding.sorry()));
        }
    }
}
