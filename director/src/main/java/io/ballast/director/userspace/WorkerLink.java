package io.ballast.director.userspace;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.worker.Wire;
import io.ballast.director.worker.Wire.ListenerKey;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.Message;
import io.ballast.linux.MessageChannel;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The node process's end of the channel to one worker. Commands are queued by the control loop and sent by a thread of
 * their own, which also turns forwardings into JSON and leaves out those that the worker has already; what the worker
 * says is read and parsed by another thread and then handled on the control loop.
 */
final class WorkerLink {
    /** Descriptors in one message; the kernel allows 253. */
    private static final int DESCRIPTORS = 250;

    /** What a link tells; called on the control loop. */
    interface Listener {
        /** The greeting is complete: what the worker forwards and listens on. The descriptors are the listener's. */
        void ready(WorkerLink link, Map<String, Forwarding> forwards, Map<ListenerKey, Descriptor> held);

        /** Anything that is not an answer. */
        void message(WorkerLink link, String type, JsonObject message);

        void gone(WorkerLink link, String reason);
    }

    /** What can be done with a worker, on the sending thread. */
    private interface Command {
        void send() throws IOException;

        /** The worker was gone before it was sent. */
        default void drop() {}
    }

    /** Hands over sockets, of which it is a holder. */
    private record Listen(MessageChannel channel, List<ListenerKey> keys, List<ListeningSocket> sockets)
            implements Command {
        @Override
        public void send() throws IOException {
            try {
                channel.send(
                        Wire.bytes(Wire.listeners("listen", keys)),
                        sockets.stream().map(ListeningSocket::descriptor).toList());
            } finally {
                drop();
            }
        }

        @Override
        public void drop() {
            sockets.forEach(ListeningSocket::release);
        }
    }

    /** The answer to a question about figures. */
    private record Question<T>(Consumer<List<T>> whenDone) {}

    private final MessageChannel channel;
    private final Executor control;
    private final Listener listener;
    private final LinkedBlockingQueue<Command> commands = new LinkedBlockingQueue<>();
    private final Thread sender;

    // The control loop's:
    final Map<String, ServiceStatistics> statistics = new HashMap<>();

    /** What the worker forwards, when it has done what it was told. */
    final Map<String, Forwarding> services = new LinkedHashMap<>();

    private final Map<Integer, Question<ServiceStatistics>> statisticsAsked = new HashMap<>();
    private final Map<Integer, Question<ConnectionReport>> connectionsAsked = new HashMap<>();
    private final Map<Integer, Runnable> syncs = new HashMap<>();
    private boolean understood = true;
    private final Map<ListenerKey, Descriptor> held = new LinkedHashMap<>();
    private WorkerInfo info = new WorkerInfo(0, "", false, false, 0, 0);
    private int lastId;
    private boolean everAsked;
    private boolean gone;
    private volatile boolean closed;
    /** Whether the sender has ended. */
    private volatile boolean sent;

    private boolean bye;

    WorkerLink(MessageChannel channel, Executor control, Listener listener) {
        this.channel = channel;
        this.control = control;
        this.listener = listener;
        this.sender = Thread.ofVirtual().name("engine-sender").unstarted(this::sendAll);
    }

    void start() {
        sender.start();
        Thread.ofVirtual().name("engine-reader").start(this::readAll);
    }

    WorkerInfo info() {
        return info;
    }

    boolean isGone() {
        return gone;
    }

    /** Whether it said good-bye: it drained. */
    boolean saidBye() {
        return bye;
    }

    // ---- Commands, from the control loop

    /** Puts services; those that the worker has already are left out. */
    void put(Collection<Forwarding> wanted) {
        List<Forwarding> different = new ArrayList<>();
        for (Forwarding forwarding : wanted) {
            if (!forwarding.equals(services.put(forwarding.service(), forwarding))) {
                different.add(forwarding);
            }
        }
        for (int from = 0; from < different.size(); from += Wire.BATCH) {
            List<Forwarding> batch = different.subList(from, Math.min(different.size(), from + Wire.BATCH));
            enqueue(() -> channel.send(Wire.services("put", batch), List.of()));
        }
    }

    void remove(Collection<String> names) {
        if (names.isEmpty()) {
            return;
        }
        names.forEach(services.keySet()::remove);
        names.forEach(statistics.keySet()::remove);
        List<String> all = List.copyOf(names);
        enqueue(() -> {
            JsonArray array = new JsonArray();
            all.forEach(array::add);
            JsonObject message = Wire.message("remove");
            message.add("services", array);
            channel.send(Wire.bytes(message), List.of());
        });
    }

    /** Hands listening sockets over, and holds them until they are sent. */
    void listen(Map<ListenerKey, ListeningSocket> wanted) {
        List<ListenerKey> keys = List.copyOf(wanted.keySet());
        List<ListeningSocket> sockets = List.copyOf(wanted.values());
        sockets.forEach(ListeningSocket::hold);
        for (int from = 0; from < keys.size(); from += DESCRIPTORS) {
            int to = Math.min(keys.size(), from + DESCRIPTORS);
            enqueue(new Listen(channel, keys.subList(from, to), sockets.subList(from, to)));
        }
    }

    void unlisten(Collection<ListenerKey> keys) {
        if (!keys.isEmpty()) {
            send(Wire.listeners("unlisten", List.copyOf(keys)));
        }
    }

    /** Runs the task on the control loop when the worker has done all that was sent before. */
    void sync(Runnable whenDone) {
        JsonObject message = Wire.message("sync");
        message.addProperty("id", ++lastId);
        syncs.put(lastId, whenDone);
        send(message);
    }

    void drain(long millis) {
        JsonObject message = Wire.message("drain");
        message.addProperty("millis", millis);
        send(message);
    }

    /** Asks for figures; {@link #statistics} has them when the task runs, or the old ones where the worker is gone. */
    void askStatistics(Runnable whenDone) {
        JsonObject message = Wire.message("statistics");
        message.addProperty("id", ++lastId);
        message.addProperty("all", !everAsked);
        everAsked = true;
        statisticsAsked.put(lastId, new Question<>(rows -> whenDone.run()));
        send(message);
    }

    /** Asks for connections; the report is empty where the worker is gone. */
    void askConnections(ConnectionQuery query, Consumer<ConnectionReport> whenDone) {
        JsonObject message = Wire.connections(query);
        message.addProperty("id", ++lastId);
        connectionsAsked.put(
                lastId,
                new Question<>(
                        reports -> whenDone.accept(reports.isEmpty() ? ConnectionReport.EMPTY : reports.getFirst())));
        send(message);
    }

    private void enqueue(Command command) {
        commands.add(command);
        if (sent) {
            dropAll();
        }
    }

    /** Nothing more is sent. */
    private void dropAll() {
        for (Command left = commands.poll(); left != null; left = commands.poll()) {
            left.drop();
        }
    }

    private void send(JsonObject message) {
        enqueue(() -> channel.send(Wire.bytes(message), List.of()));
    }

    /** Lets go of the worker without a further word from it. */
    void close() {
        closed = true;
        channel.close();
        sender.interrupt();
    }

    // ---- The threads

    private void sendAll() {
        try {
            while (true) {
                commands.take().send();
            }
        } catch (IOException e) {
            // Where the worker has closed its end, the reader finds that too, after the worker's last words; to close
            // this end now would be to lose those.
            if (!closedByPeer(e)) {
                channel.close();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            sent = true;
            dropAll();
        }
    }

    private static boolean closedByPeer(IOException e) {
        return e instanceof LinuxException failed
                && (failed.errno() == Errno.EPIPE || failed.errno() == Errno.ECONNRESET);
    }

    private void readAll() {
        String reason = "the worker closed its end";
        try {
            while (true) {
                Message message = channel.receive();
                if (message == null) {
                    break;
                }
                read(message);
            }
        } catch (IOException e) {
            reason = String.valueOf(e.getMessage());
        } catch (IllegalStateException | IllegalArgumentException | NullPointerException e) {
            reason = "a message of the worker was not understood: " + e;
        }
        String why = reason;
        channel.close();
        sender.interrupt();
        if (!closed) {
            control.execute(() -> onGone(why));
        }
    }

    private void read(Message message) throws IOException {
        JsonObject json = Wire.parse(message.payload());
        String type = Wire.type(json);
        switch (type) {
            case "held" -> {
                List<ListenerKey> keys = Wire.listeners(json);
                control.execute(() -> {
                    for (int i = 0; i < keys.size(); i++) {
                        held.put(keys.get(i), message.descriptors().get(i));
                    }
                });
            }
            case "statistics", "bye" -> {
                List<ServiceStatistics> rows = new ArrayList<>();
                for (JsonElement row : json.getAsJsonArray("services")) {
                    rows.add(Wire.statistics(row.getAsJsonArray()));
                }
                control.execute(() -> onStatistics(json, type.equals("bye"), rows));
            }
            case "connections" -> {
                ConnectionReport report = Wire.report(json);
                control.execute(() -> answer(connectionsAsked, json, List.of(report)));
            }
            case "table" -> readTable(json);
            default -> control.execute(() -> onMessage(type, json));
        }
    }

    private void readTable(JsonObject json) {
        try {
            List<Forwarding> part = Wire.services(json);
            control.execute(() -> part.forEach(forwarding -> services.put(forwarding.service(), forwarding)));
        } catch (IllegalStateException | IllegalArgumentException | NullPointerException e) {
            // Another build's idea of a forwarding: its sockets are of use all the same.
            control.execute(() -> understood = false);
        }
    }

    // ---- On the control loop

    private void onMessage(String type, JsonObject json) {
        if (gone) {
            return;
        }
        switch (type) {
            case "hello" ->
                info = new WorkerInfo(
                        json.get("pid").getAsLong(),
                        json.get("build").getAsString(),
                        json.get("protocol").getAsInt() == Wire.PROTOCOL,
                        json.get("draining").getAsBoolean(),
                        0,
                        0);
            case "ready" -> {
                info = new WorkerInfo(
                        info.pid(),
                        info.build(),
                        info.compatible() && understood,
                        info.draining(),
                        services.size(),
                        held.size());
                Map<ListenerKey, Descriptor> allHeld = new LinkedHashMap<>(held);
                held.clear();
                listener.ready(this, new LinkedHashMap<>(services), allHeld);
                listener.message(this, type, json);
            }
            case "synced" -> {
                Runnable whenDone = syncs.remove(json.get("id").getAsInt());
                if (whenDone != null) {
                    whenDone.run();
                }
            }
            default -> listener.message(this, type, json);
        }
    }

    private void onStatistics(JsonObject json, boolean last, List<ServiceStatistics> rows) {
        for (ServiceStatistics row : rows) {
            if (services.containsKey(row.service())) {
                statistics.put(row.service(), row);
            }
        }
        bye |= last;
        if (json.has("id")) {
            answer(statisticsAsked, json, rows);
        }
    }

    private static <T> void answer(Map<Integer, Question<T>> asked, JsonObject json, List<T> rows) {
        Question<T> question = asked.remove(json.get("id").getAsInt());
        if (question != null) {
            question.whenDone().accept(rows);
        }
    }

    private void onGone(String reason) {
        if (gone) {
            return;
        }
        gone = true;
        held.values().forEach(Descriptor::close);
        listener.gone(this, reason);
        List.copyOf(statisticsAsked.values())
                .forEach(question -> question.whenDone().accept(List.of()));
        List.copyOf(connectionsAsked.values())
                .forEach(question -> question.whenDone().accept(List.of()));
        statisticsAsked.clear();
        connectionsAsked.clear();
    }

    @Override
    public String toString() {
        return "worker " + info.pid();
    }

    /** The worker that this is a link to, for messages; null before it has introduced itself. */
    @Nullable
    Long pid() {
        return info.pid() == 0 ? null : info.pid();
    }
}
