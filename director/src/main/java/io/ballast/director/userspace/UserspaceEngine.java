package io.ballast.director.userspace;

import com.google.gson.JsonObject;
import io.ballast.core.config.Endpoint;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.worker.Wire;
import io.ballast.director.worker.Wire.ListenerKey;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.MessageChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The userspace engine as the node process sees it.
 *
 * <p><b>What it owns.</b> The table, which is what was {@link #put}, and the listening sockets, which stay open here
 * whatever becomes of the workers: while there is none, the kernel takes connections into the listen queue, and the next
 * worker accepts them. A socket that cannot be opened is tried again every second, and said to be missing once for each
 * reason.
 *
 * <p><b>Workers</b> are processes that somebody else starts and supervises, and {@link #attach}es by the channel to
 * their control socket. One of them is the current one. When another is attached, it gets the table and the sockets
 * first; only when it has confirmed that is the one before told to drain. A worker that was there before this node
 * process is attached the same way: what it holds is adopted, and only the difference is sent.
 *
 * <p><b>Threads.</b> Everything here runs on the control loop: the methods are called by it, and what threads at the
 * channels have to say is passed to it through the executor. Changes of one turn are sent in one go at its end.
 */
public final class UserspaceEngine implements ForwardingEngine {
    /** Sockets opened in one turn of the control loop; each takes about 20 microseconds. */
    private static final int OPENED_IN_A_TURN = 500;

    /** Sockets whose failure is looked into at a time: where all of many fail, a few say why. */
    private static final int EXPLAINED_AT_A_TIME = 10;

    private static final long RETRY_MILLIS = 1_000;
    private static final long ANSWER_MILLIS = 2_000;

    /** How long sockets of a worker that cannot be adopted wait for their service to be put. */
    private static final long CLAIM_MILLIS = 60_000;

    private final Executor control;
    private final EngineEvents events;
    private final Map<String, Forwarding> table = new LinkedHashMap<>();
    private final Set<String> changed = new LinkedHashSet<>();
    private final Map<Endpoint, Opening> openings = new LinkedHashMap<>();
    private final Map<String, List<Endpoint>> endpointsOf = new HashMap<>();
    private final Set<Endpoint> toOpen = new LinkedHashSet<>();
    private final List<Attached> workers = new ArrayList<>();
    private final Map<String, ServiceStatistics> past = new HashMap<>();
    private final Map<String, ServiceStatistics> unused = new HashMap<>();
    private @Nullable Attached current;
    private boolean adopted;
    private Set<InetAddress> shared = Set.of();
    private boolean flushScheduled;
    private boolean retryScheduled;
    private int explaining;
    private volatile boolean closed;

    /** An endpoint that should be open. */
    private static final class Opening {
        final String service;
        final int backlog;

        @Nullable
        ListeningSocket socket;

        @Nullable
        Errno failure;

        Opening(String service, int backlog, @Nullable ListeningSocket socket) {
            this.service = service;
            this.backlog = backlog;
            this.socket = socket;
        }

        void close() {
            if (socket != null) {
                socket.release();
            }
        }
    }

    /** A worker with what was asked of it. */
    private static final class Attached {
        final WorkerLink link;
        final WorkerEvents events;
        boolean told;

        Attached(WorkerLink link, WorkerEvents events) {
            this.link = link;
            this.events = events;
        }
    }

    /**
     * An engine without services and workers.
     *
     * @param control runs tasks on the control loop, in order
     * @param events told on the control loop
     */
    public UserspaceEngine(Executor control, EngineEvents events) {
        this.control = control;
        this.events = events;
    }

    @Override
    public String name() {
        return "userspace";
    }

    /**
     * Which addresses may be another node's now and come to this machine later: services listen there nevertheless. Said
     * before services are put.
     */
    public void shared(Set<InetAddress> addresses) {
        shared = Set.copyOf(addresses);
    }

    @Override
    public void put(Forwarding service) {
        if (!service.equals(table.put(service.service(), service))) {
            change(service.service());
        }
    }

    @Override
    public void remove(String service) {
        if (table.remove(service) != null) {
            past.remove(service);
            change(service);
        }
    }

    private void change(String service) {
        changed.add(service);
        unused.remove(service);
        if (!flushScheduled) {
            flushScheduled = true;
            control.execute(this::flush);
        }
    }

    // ---- Workers

    /** Takes a worker, to whose control socket the channel leads. The channel is the engine's from now on. */
    public void attach(MessageChannel channel, WorkerEvents workerEvents) {
        WorkerLink link = new WorkerLink(channel, control, new FromWorker());
        workers.add(new Attached(link, workerEvents));
        link.start();
    }

    /**
     * Closes the listening sockets, and tells every worker to accept no more and to end with its last connection, at the
     * latest after the time given.
     */
    public void drain(Duration atMost) {
        current = null;
        closeSockets();
        for (Attached worker : List.copyOf(workers)) {
            worker.told = true;
            worker.link.drain(atMost.toMillis());
        }
    }

    /**
     * Asks the worker of a process whether it still does what it is told; completes when it has done all that was sent to
     * it before, and never if it hangs or is gone.
     */
    public CompletionStage<Void> ping(long pid) {
        CompletableFuture<Void> answer = new CompletableFuture<>();
        for (Attached worker : workers) {
            if (worker.link.info().pid() == pid) {
                worker.link.sync(() -> answer.complete(null));
            }
        }
        return answer;
    }

    /** Whether a worker has the table and accepts connections. */
    public boolean hasWorker() {
        return current != null;
    }

    private @Nullable Attached find(WorkerLink link) {
        for (Attached worker : workers) {
            if (worker.link == link) {
                return worker;
            }
        }
        return null;
    }

    private final class FromWorker implements WorkerLink.Listener {
        @Override
        public void ready(WorkerLink link, Map<String, Forwarding> forwards, Map<ListenerKey, Descriptor> held) {
            Attached worker = find(link);
            if (worker == null || closed) {
                held.values().forEach(Descriptor::close);
                return;
            }
            boolean serves = link.info().compatible() && !link.info().draining();
            adopt(serves && !adopted ? forwards : Map.of(), held);
            adopted |= serves;
            worker.events.greeted(link.info(), forwards);
            if (serves) {
                bringUp(worker, held.keySet());
            } else if (current != null) {
                retireOthers(current);
            }
        }

        @Override
        public void message(WorkerLink link, String type, JsonObject message) {
            UserspaceEngine.this.message(type, message);
        }

        @Override
        public void gone(WorkerLink link, String reason) {
            Attached worker = find(link);
            if (worker == null) {
                return;
            }
            workers.remove(worker);
            if (current == worker) {
                current = null;
            }
            link.statistics.forEach((service, figures) -> {
                if (table.containsKey(service)) {
                    past.merge(service, Figures.ended(figures), Figures::sum);
                }
            });
            worker.events.gone(link.info(), link.saidBye(), reason);
        }
    }

    /** Takes over what a worker forwards, and of its sockets those that are wanted and not open here. */
    private void adopt(Map<String, Forwarding> forwards, Map<ListenerKey, Descriptor> held) {
        Map<Endpoint, Opening> free = new LinkedHashMap<>();
        held.forEach((key, descriptor) -> {
            Opening opening = openings.get(key.endpoint());
            if (opening == null) {
                free.put(key.endpoint(), new Opening(key.service(), 0, new ListeningSocket(descriptor)));
            } else if (opening.socket == null) {
                opening.socket = new ListeningSocket(descriptor);
                toOpen.remove(key.endpoint());
                opened(key.endpoint(), opening);
            } else {
                descriptor.close();
            }
        });
        Map<ListenerKey, ListeningSocket> known = new HashMap<>();
        forwards.forEach((service, forwarding) -> {
            if (table.putIfAbsent(service, forwarding) == null) {
                claim(forwarding, free, known);
            }
        });
        if (!adopted && !free.isEmpty()) {
            // Of a worker that cannot be understood or is draining: whoever is put soon may have them.
            openings.putAll(free);
            after(CLAIM_MILLIS, () -> closeUnclaimed(free));
        } else {
            free.values().forEach(Opening::close);
        }
        if (!toOpen.isEmpty()) {
            control.execute(this::openSomeUnlessClosed);
        }
    }

    private void closeUnclaimed(Map<Endpoint, Opening> sockets) {
        sockets.forEach((endpoint, opening) -> {
            Forwarding owner = table.get(opening.service);
            if (owner == null || !owner.listen().contains(endpoint)) {
                openings.remove(endpoint, opening);
                opening.close();
            }
        });
    }

    /** Sends what the worker lacks, takes from it what it should not have, and makes it the current one. */
    private void bringUp(Attached worker, Set<ListenerKey> held) {
        WorkerLink link = worker.link;
        Set<String> surplus = new HashSet<>(link.services.keySet());
        surplus.removeAll(table.keySet());
        List<ListenerKey> unwanted = new ArrayList<>();
        Map<ListenerKey, ListeningSocket> missing = new LinkedHashMap<>();
        for (ListenerKey key : held) {
            Opening opening = openings.get(key.endpoint());
            if (opening == null || !opening.service.equals(key.service())) {
                unwanted.add(key);
            }
        }
        openings.forEach((endpoint, opening) -> {
            ListenerKey key = new ListenerKey(opening.service, endpoint);
            if (opening.socket != null && table.containsKey(opening.service) && !held.contains(key)) {
                missing.put(key, opening.socket);
            }
        });
        link.unlisten(unwanted);
        link.put(table.values());
        link.listen(missing);
        link.remove(surplus);
        current = worker;
        link.sync(() -> {
            if (current == worker) {
                retireOthers(worker);
                worker.events.serving(link.info());
            }
        });
    }

    private void retireOthers(Attached kept) {
        for (Attached other : List.copyOf(workers)) {
            if (other != kept && !other.told && other.link.pid() != null) {
                other.told = true;
                other.link.drain(longestDrain());
            }
        }
    }

    private long longestDrain() {
        return table.values().stream()
                .mapToLong(service -> service.timeouts().drain().toMillis())
                .max()
                .orElse(0);
    }

    private void message(String type, JsonObject message) {
        switch (type) {
            case "drained" ->
                events.drained(
                        message.get("service").getAsString(),
                        message.get("server").getAsString(),
                        message.get("closed").getAsInt());
            case "pressure" ->
                events.pressure(
                        message.get("on").getAsBoolean(), message.get("reason").getAsString());
            case "ready" -> {
                if (message.has("pressure")) {
                    events.pressure(true, message.get("pressure").getAsString());
                }
            }
            case "note" ->
                events.note(
                        message.get("warning").getAsBoolean(),
                        message.get("subject").getAsString(),
                        message.get("message").getAsString());
            case "notListening" -> {
                for (ListenerKey key : Wire.listeners(message)) {
                    events.notListening(
                            key.service(), key.endpoint(), message.get("reason").getAsString());
                }
            }
            default -> {
                // "listening" and whatever a later build may add need no answer.
            }
        }
    }

    // ---- Changes

    private void flush() {
        flushScheduled = false;
        if (closed) {
            return;
        }
        List<String> services = List.copyOf(changed);
        changed.clear();
        List<String> gone = new ArrayList<>();
        List<Forwarding> put = new ArrayList<>();
        Map<Endpoint, Opening> released = new LinkedHashMap<>();
        for (String service : services) {
            Forwarding wanted = table.get(service);
            if (wanted == null) {
                gone.add(service);
            } else {
                put.add(wanted);
            }
        }
        release(new HashSet<>(services), released);
        Attached worker = current;
        if (worker != null) {
            List<ListenerKey> unlisten = new ArrayList<>();
            released.forEach((endpoint, opening) -> {
                if (opening.socket != null) {
                    unlisten.add(new ListenerKey(opening.service, endpoint));
                }
            });
            worker.link.unlisten(unlisten);
            worker.link.put(put);
        }
        Map<ListenerKey, ListeningSocket> moved = new LinkedHashMap<>();
        for (Forwarding wanted : put) {
            claim(wanted, released, moved);
        }
        if (worker != null) {
            worker.link.listen(moved);
            worker.link.remove(gone);
        }
        released.values().forEach(Opening::close);
        openSome();
    }

    /** Takes the endpoints away that the changed services have and no longer want. */
    private void release(Set<String> services, Map<Endpoint, Opening> released) {
        List<Endpoint> candidates = new ArrayList<>();
        for (String service : services) {
            candidates.addAll(endpointsOf.getOrDefault(service, List.of()));
            Forwarding wanted = table.get(service);
            if (wanted != null) {
                candidates.addAll(wanted.listen());
            }
        }
        for (Endpoint endpoint : candidates) {
            Opening opening = openings.get(endpoint);
            if (opening == null) {
                continue;
            }
            Forwarding owner = table.get(opening.service);
            if (owner == null || !owner.listen().contains(endpoint)) {
                openings.remove(endpoint);
                toOpen.remove(endpoint);
                released.put(endpoint, opening);
            }
        }
        services.forEach(endpointsOf::remove);
    }

    /** Gives the service its endpoints: kept, taken over from another service, or to be opened. */
    private void claim(Forwarding wanted, Map<Endpoint, Opening> released, Map<ListenerKey, ListeningSocket> moved) {
        endpointsOf.put(wanted.service(), wanted.listen());
        for (Endpoint endpoint : wanted.listen()) {
            if (openings.containsKey(endpoint)) {
                continue;
            }
            Opening before = released.remove(endpoint);
            ListeningSocket socket = before == null ? null : before.socket;
            Opening opening = new Opening(wanted.service(), wanted.limits().backlog(), socket);
            openings.put(endpoint, opening);
            if (socket == null) {
                toOpen.add(endpoint);
            } else {
                moved.put(new ListenerKey(wanted.service(), endpoint), socket);
                events.listening(wanted.service(), endpoint);
            }
        }
    }

    /** Opens what is to be opened, so many at a time that the control loop stays free. */
    private void openSome() {
        Map<ListenerKey, ListeningSocket> opened = new LinkedHashMap<>();
        List<Endpoint> now = toOpen.stream().limit(OPENED_IN_A_TURN).toList();
        for (Endpoint endpoint : now) {
            toOpen.remove(endpoint);
            Opening opening = openings.get(endpoint);
            if (opening == null || opening.socket != null) {
                continue;
            }
            try {
                ListeningSocket socket = new ListeningSocket(
                        ListeningSockets.open(endpoint, opening.backlog, shared.contains(endpoint.address())));
                opening.socket = socket;
                opened.put(new ListenerKey(opening.service, endpoint), socket);
                opened(endpoint, opening);
            } catch (IOException e) {
                failed(endpoint, opening, e);
            }
        }
        Attached worker = current;
        if (worker != null) {
            worker.link.listen(opened);
        }
        if (!toOpen.isEmpty()) {
            control.execute(this::openSomeUnlessClosed);
        }
    }

    private void openSomeUnlessClosed() {
        if (!closed) {
            openSome();
        }
    }

    private void opened(Endpoint endpoint, Opening opening) {
        opening.failure = null;
        events.listening(opening.service, endpoint);
    }

    private void failed(Endpoint endpoint, Opening opening, IOException error) {
        Errno errno = ListeningSockets.errno(error);
        if (errno != opening.failure) {
            opening.failure = errno;
            boolean thoroughly = explaining++ < EXPLAINED_AT_A_TIME;
            Thread.ofVirtual().name("engine-explain").start(() -> {
                String reason = ListeningSockets.explain(endpoint, error, thoroughly);
                control.execute(() -> {
                    explaining--;
                    if (openings.get(endpoint) == opening && opening.socket == null) {
                        events.notListening(opening.service, endpoint, reason);
                    }
                });
            });
        }
        if (!retryScheduled) {
            retryScheduled = true;
            after(RETRY_MILLIS, this::retry);
        }
    }

    private void retry() {
        retryScheduled = false;
        openings.forEach((endpoint, opening) -> {
            if (opening.socket == null) {
                toOpen.add(endpoint);
            }
        });
        openSomeUnlessClosed();
    }

    private void after(long millis, Runnable task) {
        Thread.ofVirtual().name("engine-timer").start(() -> {
            try {
                TimeUnit.MILLISECONDS.sleep(millis);
                if (!closed) {
                    control.execute(task);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
    }

    // ---- Figures

    @Override
    public CompletionStage<List<ServiceStatistics>> statistics() {
        CompletableFuture<List<ServiceStatistics>> result = new CompletableFuture<>();
        List<Attached> asked = List.copyOf(workers);
        int[] open = {asked.size()};
        Runnable finish = () -> result.complete(total());
        for (Attached worker : asked) {
            worker.link.askStatistics(() -> {
                if (--open[0] == 0) {
                    finish.run();
                }
            });
        }
        if (asked.isEmpty()) {
            finish.run();
        } else {
            // A worker that does not answer in time counts with what it last said.
            after(ANSWER_MILLIS, finish);
        }
        return result;
    }

    private List<ServiceStatistics> total() {
        List<ServiceStatistics> all = new ArrayList<>(table.size());
        for (Forwarding service : table.values()) {
            ServiceStatistics sum = past.get(service.service());
            for (Attached worker : workers) {
                ServiceStatistics figures = worker.link.statistics.get(service.service());
                if (figures != null) {
                    sum = sum == null ? figures : Figures.sum(sum, figures);
                }
            }
            all.add(sum == null ? unused(service) : Figures.complete(service, sum));
        }
        return all;
    }

    /** The zeros of a service that nobody has used; kept, because in a large table that is most of it. */
    private ServiceStatistics unused(Forwarding service) {
        ServiceStatistics zeros = unused.get(service.service());
        if (zeros == null) {
            zeros = Figures.complete(service, null);
            unused.put(service.service(), zeros);
        }
        return zeros;
    }

    @Override
    public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
        CompletableFuture<ConnectionReport> result = new CompletableFuture<>();
        List<ConnectionReport> all = new ArrayList<>();
        List<Attached> asked = new ArrayList<>();
        for (Attached worker : workers) {
            if (worker.link.info().compatible()) {
                asked.add(worker);
            } else {
                all.add(new ConnectionReport(
                        List.of(),
                        List.of(),
                        List.of("connections of worker " + worker.link.info().pid()
                                + " are not among these: it is of another version, which does not tell of them, and"
                                + " ends with its last one")));
            }
        }
        int[] open = {asked.size()};
        Runnable finish = () -> result.complete(ConnectionReport.merge(all, query.limit()));
        for (Attached worker : asked) {
            worker.link.askConnections(query, report -> {
                all.add(report);
                if (--open[0] == 0) {
                    finish.run();
                }
            });
        }
        if (asked.isEmpty()) {
            finish.run();
        } else {
            after(ANSWER_MILLIS, finish);
        }
        return result;
    }

    @Override
    public void close() {
        closed = true;
        current = null;
        List.copyOf(workers).forEach(worker -> worker.link.close());
        closeSockets();
    }

    private void closeSockets() {
        toOpen.clear();
        openings.values().forEach(Opening::close);
        openings.clear();
    }
}
