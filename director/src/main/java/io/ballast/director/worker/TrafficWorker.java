package io.ballast.director.worker;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.Endpoint;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.worker.Wire.ListenerKey;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Message;
import io.ballast.linux.Processes;
import io.ballast.linux.Signal;
import io.ballast.linux.UnixListener;
import io.netty.buffer.PoolArenaMetric;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.IoEventLoop;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.EventExecutor;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The process that carries the bytes of the userspace engine.
 *
 * <p><b>Its life.</b> The node process starts it, connects to its unix socket and tells it the table of services and the
 * listening sockets, which it opened and keeps open as well. From then on the two need each other less than one would
 * think. Dies the worker, the kernel goes on queueing connections on the sockets that the node process still has, until
 * the next worker gets them. Dies the node process, the worker goes on with its last table; a new node process connects,
 * is greeted with what is there, sockets included, and adopts it. A worker that is to be replaced drains: it accepts no
 * more, and ends with its last connection, while its successor accepts on the same sockets.
 *
 * <p><b>Its threads.</b> Event loops ({@link Loop}) carry the bytes. Each service belongs to one of them, which accepts
 * and chooses servers ({@link Balancer}); connections are dealt to all. What the node process says is worked off by one
 * thread at a time under a lock, and reaches the loops as tasks, so a table of ten thousand services does not hold up a
 * packet for longer than a batch takes.
 *
 * <p><b>What it does not do.</b> It checks no server, decides nothing about health, and opens no listening socket.
 */
public final class TrafficWorker implements AutoCloseable {
    /** Without a table and a node process for this long, it was forgotten and ends. */
    private static final long ORPHAN_NANOS = TimeUnit.SECONDS.toNanos(60);

    private static final long HOUSEKEEPING_NANOS = TimeUnit.SECONDS.toNanos(10);

    /**
     * How to run.
     *
     * @param socket where the node process will find it; created with mode 0600
     * @param threads event loops, at least 1
     * @param build told to the node process, which may want to replace a worker of another build
     */
    public record Options(Path socket, int threads, String build) {}

    final Descriptors descriptors;
    private final Options options;
    private final UnixListener listener;
    private final MultiThreadIoEventLoopGroup group;
    private final Loop[] loops;
    private final PooledByteBufAllocator buffers;
    private final long seed = new SecureRandom().nextLong();
    private final AtomicInteger nextLoop = new AtomicInteger();
    private final CompletableFuture<Integer> exit = new CompletableFuture<>();

    // Guarded by control:
    private final ReentrantLock control = new ReentrantLock();
    private final Map<String, Balancer> services = new LinkedHashMap<>();
    private final Map<ListenerKey, Integer> held = new LinkedHashMap<>();
    private int nextOwner;
    private long lastControlled = System.nanoTime();

    private volatile boolean closing;
    private volatile boolean draining;
    private volatile @Nullable ControlSession session;
    private volatile @Nullable String pressure;

    private TrafficWorker(Options options, UnixListener listener, int descriptorLimit) {
        this.options = options;
        this.listener = listener;
        this.descriptors = new Descriptors(descriptorLimit, this::pressure);
        this.group = new MultiThreadIoEventLoopGroup(
                options.threads(), new DefaultThreadFactory("traffic", true), EpollIoHandler.newFactory());
        // Few and small arenas: buffers are only needed for what a slow peer has not taken yet.
        buffers = new PooledByteBufAllocator(true, 0, options.threads(), 8192, 7, 0, 0, true);
        this.loops = new Loop[options.threads()];
        int index = 0;
        for (EventExecutor executor : group) {
            loops[index] = new Loop(index, (IoEventLoop) executor, buffers);
            index++;
        }
    }

    /** Starts a worker in this process. */
    public static TrafficWorker start(Options options) throws IOException {
        return start(options, Descriptors.available());
    }

    static TrafficWorker start(Options options, int descriptorLimit) throws IOException {
        if (options.threads() < 1) {
            throw new IllegalArgumentException("threads: " + options.threads() + " is not at least 1");
        }
        TrafficWorker worker = new TrafficWorker(options, UnixListener.open(options.socket()), descriptorLimit);
        for (Loop loop : worker.loops) {
            loop.execute(() -> loop.startHousekeeping(HOUSEKEEPING_NANOS));
        }
        Thread.ofVirtual().name("worker-control").start(worker::acceptControl);
        return worker;
    }

    /**
     * The worker process: {@code --socket PATH} and, if need be, {@code --threads N} and {@code --build TEXT}.
     *
     * <p>Exit codes: 0 drained or no longer needed, 1 cannot start, 2 wrong arguments.
     */
    public static void main(String[] arguments) throws InterruptedException {
        Path socket = null;
        int threads = Runtime.getRuntime().availableProcessors();
        String build = "";
        try {
            for (int i = 0; i < arguments.length; i += 2) {
                String value = arguments[i + 1];
                switch (arguments[i]) {
                    case "--socket" -> socket = Path.of(value);
                    case "--threads" -> threads = Integer.parseInt(value);
                    case "--build" -> build = value;
                    default -> throw new IllegalArgumentException("unknown option " + arguments[i]);
                }
            }
            if (socket == null) {
                throw new IllegalArgumentException("--socket is missing");
            }
        } catch (IllegalArgumentException | ArrayIndexOutOfBoundsException e) {
            System.err.println(
                    "traffic worker: " + e.getMessage() + "; usage: --socket PATH [--threads N] [--build TEXT]");
            System.exit(2);
            return;
        }
        // What is meant for the job at a terminal, or for the node's process group (timeout(1), a shell that ends), is
        // the node process's: it decides what becomes of its workers.
        try {
            Processes.leaveSession();
        } catch (IOException e) {
            System.err.println("traffic worker: " + e.getMessage());
        }
        Signal.INT.watch(signal -> {});
        Signal.HUP.watch(signal -> {});
        try (TrafficWorker worker = start(new Options(socket, threads, build))) {
            System.exit(worker.exit.join());
        } catch (IOException e) {
            System.err.println("traffic worker: " + e.getMessage());
            System.exit(1);
        }
    }

    /** Completes when the worker has nothing left to do, with the process's exit code. */
    public CompletableFuture<Integer> exit() {
        return exit;
    }

    /** Ends at once: connections are reset. */
    @Override
    public void close() {
        if (closing) {
            return;
        }
        closing = true;
        listener.close();
        ControlSession now = session;
        if (now != null) {
            now.close();
        }
        endEverything();
        group.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly(10, TimeUnit.SECONDS);
        exit.complete(0);
    }

    /**
     * Closes listeners and then connections, for a loop that is told to shut down between two looks at its state ends
     * without closing what it watches.
     */
    private void endEverything() {
        control.lock();
        try {
            unlisten(List.copyOf(held.keySet()));
            Map<Loop, List<Runnable>> work = new HashMap<>();
            for (Loop loop : loops) {
                work.put(loop, List.of(loop::endAll));
            }
            runAll(work);
        } finally {
            control.unlock();
        }
    }

    // ---- For balancers and listeners

    int loopCount() {
        return loops.length;
    }

    long seed() {
        return seed;
    }

    /** The loop that carries the next connection. */
    Loop deal(Loop owner) {
        return loops.length == 1 ? owner : loops[Math.floorMod(nextLoop.getAndIncrement(), loops.length)];
    }

    void drained(String service, String server, int closed) {
        JsonObject message = Wire.message("drained");
        message.addProperty("service", service);
        message.addProperty("server", server);
        message.addProperty("closed", closed);
        tell(message);
    }

    void note(boolean warning, String subject, String text) {
        JsonObject message = Wire.message("note");
        message.addProperty("warning", warning);
        message.addProperty("subject", subject);
        message.addProperty("message", text);
        tell(message);
    }

    private void pressure(boolean on, String reason) {
        pressure = on ? reason : null;
        JsonObject message = Wire.message("pressure");
        message.addProperty("on", on);
        message.addProperty("reason", reason);
        tell(message);
    }

    private void tell(JsonObject message) {
        ControlSession now = session;
        if (now != null) {
            now.send(message);
        }
    }

    // ---- The node process

    private void acceptControl() {
        Thread.ofVirtual().name("worker-orphan").start(this::watchForOrphanhood);
        while (true) {
            try {
                ControlSession next = new ControlSession(listener.accept(), this);
                Thread.ofVirtual().name("worker-session").start(next::run);
            } catch (IOException e) {
                if (!closing) {
                    System.err.println("traffic worker: the control socket failed: " + e.getMessage());
                }
                return;
            }
        }
    }

    private void watchForOrphanhood() {
        try {
            while (!exit.isDone()) {
                TimeUnit.SECONDS.sleep(1);
                control.lock();
                try {
                    if (session != null || !services.isEmpty()) {
                        lastControlled = System.nanoTime();
                    } else if (System.nanoTime() - lastControlled > ORPHAN_NANOS) {
                        exit.complete(0);
                    }
                } finally {
                    control.unlock();
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** A node process has connected: the one before it is let go, and this one is told what there is. */
    void greet(ControlSession next) throws IOException {
        control.lock();
        try {
            ControlSession before = session;
            session = next;
            if (before != null) {
                before.close();
            }
            JsonObject hello = Wire.message("hello");
            hello.addProperty("protocol", Wire.PROTOCOL);
            hello.addProperty("build", options.build());
            hello.addProperty("pid", ProcessHandle.current().pid());
            hello.addProperty("draining", draining);
            next.sendNow(Wire.bytes(hello), List.of());
            greetWithTable(next);
            greetWithSockets(next);
            JsonObject ready = Wire.message("ready");
            if (pressure != null) {
                ready.addProperty("pressure", pressure);
            }
            next.sendNow(Wire.bytes(ready), List.of());
        } finally {
            control.unlock();
        }
    }

    private void greetWithTable(ControlSession next) throws IOException {
        List<Forwarding> batch = new ArrayList<>();
        for (Balancer service : services.values()) {
            batch.add(service.table().forwarding());
            if (batch.size() == Wire.BATCH) {
                next.sendNow(Wire.services("table", batch), List.of());
                batch.clear();
            }
        }
        next.sendNow(Wire.services("table", batch), List.of());
    }

    private void greetWithSockets(ControlSession next) throws IOException {
        List<ListenerKey> keys = new ArrayList<>();
        List<Descriptor> copies = new ArrayList<>();
        for (Map.Entry<ListenerKey, Integer> entry : held.entrySet()) {
            keys.add(entry.getKey());
            copies.add(
                    Descriptor.own(entry.getValue(), entry.getKey().endpoint().toString()));
            if (keys.size() == ControlSession.DESCRIPTORS) {
                next.sendNow(Wire.bytes(Wire.listeners("held", keys)), copies);
                keys.clear();
                copies.clear();
            }
        }
        next.sendNow(Wire.bytes(Wire.listeners("held", keys)), copies);
    }

    private static JsonObject services(String type, JsonArray services) {
        JsonObject message = Wire.message(type);
        message.add("services", services);
        return message;
    }

    /** The node process is gone; the table stays. */
    void left(ControlSession gone) {
        control.lock();
        try {
            if (session == gone) {
                session = null;
            }
        } finally {
            control.unlock();
        }
    }

    /** Does what the node process says. */
    void received(ControlSession from, Message message) throws IOException {
        JsonObject json = Wire.parse(message.payload());
        control.lock();
        try {
            if (session != from) {
                return;
            }
            switch (Wire.type(json)) {
                case "put" -> put(Wire.services(json));
                case "remove" -> remove(json.getAsJsonArray("services"));
                case "listen" -> listen(from, Wire.listeners(json), message.descriptors());
                case "unlisten" -> unlisten(Wire.listeners(json));
                case "sync" -> from.send(reply("synced", json));
                case "statistics" -> statistics(from, json);
                case "connections" -> connections(from, json);
                case "drain" -> drain(json.get("millis").getAsLong());
                default -> throw new IOException("unknown message " + Wire.type(json));
            }
        } catch (IllegalStateException | NullPointerException | IllegalArgumentException e) {
            throw new IOException("message " + Wire.type(json) + " is not understood: " + e, e);
        } finally {
            control.unlock();
        }
    }

    private static JsonObject reply(String type, JsonObject question) {
        JsonObject reply = Wire.message(type);
        reply.add("id", question.get("id"));
        return reply;
    }

    private void put(List<Forwarding> forwardings) {
        Map<Loop, List<Runnable>> work = new HashMap<>();
        for (Forwarding forwarding : forwardings) {
            Balancer balancer = services.computeIfAbsent(forwarding.service(), name -> {
                Loop owner = loops[nextOwner++ % loops.length];
                return new Balancer(this, owner, forwarding);
            });
            work.computeIfAbsent(balancer.owner, loop -> new ArrayList<>()).add(() -> balancer.apply(forwarding));
        }
        runAll(work);
    }

    private void remove(JsonArray names) {
        Map<Loop, List<Runnable>> work = new HashMap<>();
        Set<String> gone = new HashSet<>();
        names.forEach(name -> gone.add(name.getAsString()));
        held.keySet().removeIf(key -> gone.contains(key.service()));
        for (String name : gone) {
            Balancer balancer = services.remove(name);
            if (balancer != null) {
                work.computeIfAbsent(balancer.owner, loop -> new ArrayList<>()).add(balancer::remove);
            }
        }
        runAll(work);
    }

    /** Runs the tasks on their loops and waits: when this returns, descriptors that were to be closed are closed. */
    private void runAll(Map<Loop, List<Runnable>> work) {
        List<CompletableFuture<?>> done = new ArrayList<>();
        work.forEach((loop, tasks) -> done.add(CompletableFuture.runAsync(
                () -> {
                    for (Runnable task : tasks) {
                        try {
                            task.run();
                        } catch (RuntimeException e) {
                            note(true, "worker", "a change of the table failed by a defect: " + e);
                        }
                    }
                },
                loop)));
        done.forEach(CompletableFuture::join);
    }

    private void listen(ControlSession from, List<ListenerKey> keys, List<Descriptor> descriptors) {
        Map<Loop, List<Runnable>> work = new HashMap<>();
        JsonArray listening = new JsonArray();
        for (int i = 0; i < keys.size(); i++) {
            ListenerKey key = keys.get(i);
            Descriptor descriptor = descriptors.get(i);
            Balancer balancer = services.get(key.service());
            if (balancer == null || draining) {
                descriptor.close();
                continue;
            }
            int fd = descriptor.release();
            held.put(key, fd);
            work.computeIfAbsent(balancer.owner, loop -> new ArrayList<>()).add(() -> {
                try {
                    balancer.listen(key.endpoint(), fd);
                } catch (IOException e) {
                    JsonObject failed = Wire.listeners("notListening", List.of(key));
                    failed.addProperty("reason", String.valueOf(e.getMessage()));
                    from.send(failed);
                    return;
                }
                synchronized (listening) {
                    listening.add(Wire.listeners("", List.of(key))
                            .getAsJsonArray("listeners")
                            .get(0));
                }
            });
        }
        runAll(work);
        JsonObject message = Wire.message("listening");
        message.add("listeners", listening);
        from.send(message);
    }

    private void unlisten(List<ListenerKey> keys) {
        Map<Loop, List<Runnable>> work = new HashMap<>();
        for (ListenerKey key : keys) {
            held.remove(key);
            Balancer balancer = services.get(key.service());
            if (balancer != null) {
                Endpoint endpoint = key.endpoint();
                work.computeIfAbsent(balancer.owner, loop -> new ArrayList<>()).add(() -> balancer.unlisten(endpoint));
            }
        }
        runAll(work);
    }

    private void statistics(ControlSession from, JsonObject question) {
        boolean all = question.get("all").getAsBoolean();
        List<JsonArray> batches = figures(all);
        for (JsonArray batch : batches.subList(0, batches.size() - 1)) {
            JsonObject part = services("statistics", batch);
            part.addProperty("more", true);
            from.send(part);
        }
        JsonObject last = reply("statistics", question);
        last.add("services", batches.getLast());
        from.send(last);
    }

    /** Figures in batches, at least one: of all services that ever had a connection, or of those that had connections since the last time. */
    private List<JsonArray> figures(boolean all) {
        List<JsonArray> batches = new ArrayList<>();
        JsonArray batch = new JsonArray();
        Map<Loop, List<Balancer>> byLoop = new LinkedHashMap<>();
        if (all) {
            services.values().stream()
                    .filter(Balancer::wasUsed)
                    .forEach(service -> byLoop.computeIfAbsent(service.owner, loop -> new ArrayList<>())
                            .add(service));
        }
        for (Loop loop : loops) {
            List<JsonArray> rows = CompletableFuture.supplyAsync(
                            () -> loop.figures(all ? byLoop.getOrDefault(loop, List.of()) : null), loop)
                    .join();
            for (JsonArray row : rows) {
                batch.add(row);
                if (batch.size() == Wire.BATCH) {
                    batches.add(batch);
                    batch = new JsonArray();
                }
            }
        }
        batches.add(batch);
        return batches;
    }

    private void connections(ControlSession from, JsonObject question) {
        ConnectionQuery query = Wire.query(question);
        String name = query.filter().service();
        ConnectionReport.Draft draft = new ConnectionReport.Draft(query);
        for (Balancer balancer : List.copyOf(services.values())) {
            if (name.isEmpty() || balancer.name.equals(name)) {
                CompletableFuture.runAsync(() -> balancer.connections(draft), balancer.owner)
                        .join();
            }
            if (draft.full()) {
                break;
            }
        }
        JsonObject reply = reply("connections", question);
        Wire.report(reply, draft.report(List.of()));
        from.send(reply);
    }

    private void drain(long millis) {
        if (draining) {
            return;
        }
        unlisten(List.copyOf(held.keySet()));
        // Only now, for whoever sees it counts on nothing more being accepted here.
        draining = true;
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        Thread.ofVirtual().name("worker-drain").start(() -> awaitDrained(deadline));
    }

    private void awaitDrained(long deadline) {
        try {
            while (System.nanoTime() < deadline && descriptors.open() > 0) {
                TimeUnit.MILLISECONDS.sleep(20);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        int cut = descriptors.open();
        if (cut > 0) {
            note(true, "worker", "the drain time-out cuts what is left: " + cut + " sockets of clients and servers");
        }
        control.lock();
        try {
            ControlSession now = session;
            if (now != null) {
                for (JsonArray batch : figures(true)) {
                    now.send(services("bye", batch));
                }
                now.finish();
                now.close();
            }
        } finally {
            control.unlock();
            exit.complete(0);
        }
    }

    /** Buffers that are held for what sockets have not taken, or for a repetition. */
    long buffersInUse() {
        return buffers.metric().directArenas().stream()
                .mapToLong(PoolArenaMetric::numActiveAllocations)
                .sum();
    }

    /** Whether it was told to end with its last connection, and has stopped accepting. */
    boolean isDraining() {
        return draining;
    }
}
