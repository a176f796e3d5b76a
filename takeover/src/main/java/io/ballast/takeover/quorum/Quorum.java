package io.ballast.takeover.quorum;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ballast.core.config.Addresses;
import io.ballast.linux.LinuxException;
import io.ballast.linux.RealTime;
import io.ballast.takeover.quorum.Message.Answer;
import io.ballast.takeover.quorum.Message.Request;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * This node's part in the majority: its voice, if it is a voter, and what it wants of the voters, on a thread and a UDP
 * socket of their own.
 *
 * <p>Whoever has something by a lease must be without it when the lease is over, also where this process stands still at
 * that moment: {@link Tenure#held} says until when, and what guards the thing has to know that by itself.
 */
public final class Quorum implements AutoCloseable {
    private static final int PRIORITY = 45;
    private static final long LOOK_AGAIN = 1_000_000_000;
    private static final int DATAGRAMS_AT_ONCE = 1000;
    private static final int BUFFER = 1 << 20;

    /**
     * What it takes part in.
     *
     * @param node its name among the voters, or as a candidate
     * @param voters where they are asked
     * @param port of UDP, where this node listens if it is one
     * @param secret that all have
     * @param lease in nanoseconds
     * @param isCandidate whether it may want something
     */
    public record Settings(
            String node,
            SequencedMap<String, InetAddress> voters,
            int port,
            String secret,
            long lease,
            boolean isCandidate) {
        public Settings {
            voters = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(voters));
        }

        boolean isVoter() {
            return voters.containsKey(node);
        }

        private int electorate() {
            try {
                byte[] digest = MessageDigest.getInstance("SHA-256")
                        .digest(new TreeMap<>(voters).toString().getBytes(UTF_8));
                return ByteBuffer.wrap(digest).getInt();
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("every Java has SHA-256", e);
            }
        }

        /** Without the secret. */
        @Override
        public String toString() {
            return "Settings[node=" + node + ", voters=" + voters + ", port=" + port + ", lease=" + lease + "]";
        }
    }

    /** What becomes of one thing that this node wants, from then until it is released; on the thread of this. */
    public interface Tenure {
        /** It is this node's until then, by {@link System#nanoTime}, and nobody else's. */
        void held(long until);

        /** It is not this node's, or not any more. */
        void waits(String why);
    }

    /** Hears of it, on its thread. */
    public interface Listener {
        /** Whether most voters answer, so that this node could have something. */
        void reaches(boolean most, String text);

        /** Something worth the journal. */
        void note(boolean warning, String message);
    }

    /**
     * How it stands.
     *
     * @param voters whether they have answered lately, by name; empty of a witness, which asks nobody
     * @param leases what this node wants, and for how many nanoseconds more it has it, or why not
     * @param granted who has what by this node's voice
     * @param silent whether its voice says yes to nobody yet, as it has just begun
     * @param forged datagrams without the secret
     */
    public record Status(
            SequencedMap<String, Boolean> voters,
            SequencedMap<String, Lease> leases,
            SequencedMap<String, String> granted,
            boolean silent,
            long forged) {}

    /**
     * One of them.
     *
     * @param left for how many nanoseconds; 0 where it is not this node's
     * @param why it is not
     */
    public record Lease(long left, String why) {}

    private final Listener listener;
    private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private final Selector selector;
    private final Thread thread;
    private final SecureRandom random = new SecureRandom();

    // Of the thread.
    private final Map<String, Tenure> tenures = new HashMap<>();
    /** What was said last of those that this node has not. */
    private final Map<String, String> reasons = new HashMap<>();

    private final ArrayDeque<Runnable> own = new ArrayDeque<>();
    private final ByteBuffer in = ByteBuffer.allocate(64 * 1024);
    private Settings settings;
    private MessageCodec codec;
    private @Nullable DatagramChannel channel;
    private @Nullable Voter voter;
    private @Nullable Candidate candidate;
    private @Nullable Boolean most;
    private long begun;
    private long openAt;
    private String trouble = "";
    private long forged;
    private boolean ended;

    private boolean closed;

    /** In the network namespace of the calling thread. */
    public Quorum(Settings settings, Listener listener) {
        this.settings = settings;
        this.listener = listener;
        this.codec = new MessageCodec(settings.secret());
        try {
            this.selector = Selector.open();
        } catch (IOException e) {
            throw new UncheckedIOException("the voters cannot be asked", e);
        }
        this.thread = Thread.ofPlatform().name("quorum").daemon().unstarted(this::run);
        tasks.add(() -> begin(System.nanoTime()));
        thread.start();
    }

    /** Other voters, another secret or length; what this node has by the earlier ones it keeps where it may. */
    public void configure(Settings next) {
        submit(() -> {
            boolean moves = next.port() != settings.port()
                    || !Objects.equals(
                            next.voters().get(next.node()), settings.voters().get(settings.node()));
            if (!next.secret().equals(settings.secret())) {
                codec = new MessageCodec(next.secret());
            }
            settings = next;
            if (moves) {
                close(channel);
                channel = null;
                openAt = 0;
            }
            begin(System.nanoTime());
        });
    }

    /** This node wants it from now on, and asks until it has it. */
    public void want(String resource, Tenure tenure) {
        submit(() -> {
            tenures.put(resource, tenure);
            if (candidate != null) {
                candidate.want(resource, System.nanoTime());
            }
        });
    }

    /** This node has let go of it, and does not want it any more. */
    public void release(String resource) {
        submit(() -> {
            tenures.remove(resource);
            reasons.remove(resource);
            if (candidate != null) {
                candidate.release(resource, System.nanoTime());
            }
        });
    }

    public CompletableFuture<Status> status() {
        CompletableFuture<Status> answer = new CompletableFuture<>();
        submit(() -> answer.complete(statusNow(System.nanoTime())));
        return answer;
    }

    private synchronized void submit(Runnable task) {
        if (!closed) {
            tasks.add(task);
            selector.wakeup();
        }
    }

    /** What was released is said to be; what was not is over with its lease. */
    @Override
    public void close() {
        submit(() -> ended = true);
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        synchronized (this) {
            closed = true;
            close(selector);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    // ---- The thread

    private void begin(long now) {
        if (!settings.isVoter()) {
            voter = null;
        } else {
            var voice = new Voter.Settings(settings.node(), settings.lease(), settings.electorate());
            if (voter == null) {
                voter = new Voter(voice, random, now);
            } else {
                voter.configure(voice, now);
            }
        }
        if (!settings.isCandidate()) {
            candidate = null;
            most = null;
        } else {
            var wants = new Candidate.Settings(
                    settings.node(), settings.voters().keySet(), settings.lease(), settings.electorate());
            if (candidate == null) {
                begun = now;
                candidate = new Candidate(wants, new Out(), random, now);
                tenures.keySet().forEach(resource -> candidate.want(resource, now));
            } else {
                candidate.configure(wants, now);
            }
        }
    }

    private void run() {
        try {
            RealTime.fifo(PRIORITY);
        } catch (LinuxException e) {
            // The takeover's thread says so.
        }
        try {
            while (!ended) {
                step();
            }
            if (candidate != null) {
                candidate.tick(System.nanoTime()); // the last releases
            }
        } catch (IOException | RuntimeException | Error e) {
            // Also of an Error: nobody else would tell.
            String why = "the voters cannot be asked any more: " + (e.getMessage() == null ? e : e.getMessage());
            listener.note(true, why);
            tenures.values().forEach(tenure -> tenure.waits(why));
            listener.reaches(false, why);
        } finally {
            close(channel);
        }
    }

    private void close(@Nullable AutoCloseable open) {
        try {
            if (open != null) {
                open.close();
            }
        } catch (Exception e) {
            listener.note(true, "a socket of the voters cannot be closed: " + e.getMessage());
        }
    }

    private void step() throws IOException {
        long wait = due() - System.nanoTime();
        if (wait <= 0 || !tasks.isEmpty()) {
            selector.selectNow();
        } else {
            selector.select(Math.max(1, TimeUnit.NANOSECONDS.toMillis(wait)));
        }
        selector.selectedKeys().clear();
        open(System.nanoTime());
        read();
        for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
            task.run();
        }
        long now = System.nanoTime();
        if (candidate != null) {
            candidate.tick(now);
        }
        for (Runnable local = own.poll(); local != null; local = own.poll()) {
            local.run();
        }
        reach(System.nanoTime());
        tellWhy();
    }

    /** Of what this node wants and has not. */
    private void tellWhy() {
        Candidate mine = candidate;
        if (mine == null) {
            return;
        }
        long now = System.nanoTime();
        tenures.forEach((resource, tenure) -> {
            String why = mine.why(resource, now);
            if (!why.isEmpty() && !why.equals(reasons.put(resource, why))) {
                tenure.waits(why);
            }
        });
    }

    private long due() {
        long due = System.nanoTime() + LOOK_AGAIN;
        if (channel == null) {
            due = Math.min(due, openAt);
        }
        return candidate == null ? due : Math.min(due, candidate.due());
    }

    private void open(long now) {
        if (channel != null || now < openAt) {
            return;
        }
        DatagramChannel opened = null;
        InetAddress here = settings.voters().get(settings.node());
        try {
            opened = DatagramChannel.open();
            opened.configureBlocking(false);
            opened.setOption(StandardSocketOptions.SO_RCVBUF, BUFFER);
            opened.bind(here == null ? null : new InetSocketAddress(here, settings.port()));
            opened.register(selector, SelectionKey.OP_READ);
            channel = opened;
            trouble = "";
        } catch (IOException e) {
            close(opened);
            openAt = now + LOOK_AGAIN;
            String why = (here == null
                            ? "no UDP port to ask the voters by can be had: "
                            : "cannot listen as a voter at UDP port " + settings.port() + " of " + Addresses.print(here)
                                    + ": ")
                    + e.getMessage()
                    + (e instanceof BindException && here != null
                            ? " (has this machine that address, and is nobody else at the port?)"
                            : "");
            if (!why.equals(trouble)) {
                trouble = why;
                listener.note(true, why);
            }
        }
    }

    private void read() throws IOException {
        DatagramChannel from = channel;
        for (int i = 0; from != null && i < DATAGRAMS_AT_ONCE; i++) {
            in.clear();
            SocketAddress sender;
            try {
                sender = from.receive(in);
            } catch (java.net.PortUnreachableException e) {
                continue;
            }
            if (sender == null) {
                return;
            }
            Optional<Message> message = codec.decode(in.array(), in.position());
            if (message.isEmpty()) {
                forged++;
                continue;
            }
            switch (message.get()) {
                case Request request -> {
                    if (voter != null) {
                        voter.heard(request, System.nanoTime()).ifPresent(answer -> send(answer, sender));
                    }
                }
                case Answer answer -> heard(answer);
            }
        }
    }

    private void heard(Answer answer) {
        if (candidate != null) {
            candidate.heard(answer, System.nanoTime());
        }
    }

    private void send(Message message, SocketAddress to) {
        DatagramChannel by = channel;
        if (by == null) {
            return;
        }
        try {
            by.send(ByteBuffer.wrap(codec.encode(message)), to);
        } catch (IOException e) {
            // As if it were lost: no route, no link. Who does not answer is told of.
        }
    }

    private void reach(long now) {
        Candidate mine = candidate;
        if (mine == null) {
            return;
        }
        boolean reaches = mine.reachesMost(now);
        if (most == null && !reaches && now - begun < 2 * settings.lease()) {
            return; // not known yet
        }
        if (most == null || most != reaches) {
            most = reaches;
            listener.reaches(reaches, trouble.isEmpty() ? mine.silent(now) : trouble);
        }
    }

    private final class Out implements Candidate.Output {
        @Override
        public void send(String to, Request request) {
            InetAddress address = settings.voters().get(to);
            if (!to.equals(settings.node())) {
                Quorum.this.send(request, new InetSocketAddress(address, settings.port()));
            } else if (voter != null) {
                own.add(() -> {
                    if (voter != null) {
                        voter.heard(request, System.nanoTime()).ifPresent(Quorum.this::heard);
                    }
                });
            }
        }

        @Override
        public void held(String resource, long until) {
            Tenure tenure = tenures.get(resource);
            if (tenure != null) {
                reasons.remove(resource);
                tenure.held(until);
            }
        }

        @Override
        public void lost(String resource, String why) {
            Tenure tenure = tenures.get(resource);
            if (tenure != null) {
                reasons.put(resource, why);
                tenure.waits(why);
            }
        }
    }

    private Status statusNow(long now) {
        SequencedMap<String, Boolean> answering = new LinkedHashMap<>();
        SequencedMap<String, Lease> leases = new LinkedHashMap<>();
        Candidate mine = candidate;
        if (mine != null) {
            settings.voters()
                    .keySet()
                    .forEach(name -> answering.put(name, mine.heard(now).contains(name)));
            for (String resource : mine.wanted()) {
                Long until = mine.until(resource);
                leases.put(resource, new Lease(until == null ? 0 : Math.max(0, until - now), mine.why(resource, now)));
            }
        }
        SequencedMap<String, String> granted = new LinkedHashMap<>();
        boolean silent = false;
        if (voter != null) {
            new TreeMap<>(voter.holders(now)).forEach(granted::put);
            silent = voter.isSilent(now);
        }
        return new Status(answering, leases, granted, silent, forged);
    }
}
