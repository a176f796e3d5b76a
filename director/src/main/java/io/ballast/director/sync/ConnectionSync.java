package io.ballast.director.sync;

import io.ballast.director.sync.ConnectionTable.Changes;
import io.ballast.director.sync.ConnectionTable.Look;
import io.ballast.director.sync.ConnectionTable.Outcome;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Has the directors that may take an address over know the connections of the one that has it.
 *
 * <p><b>Who tells whom.</b> Each director calls each other one, and tells it what its table remembers of the addresses
 * that it has: at first all of it, then what changes, a few times in a hundred milliseconds. Whoever takes an address
 * over goes on with what it has been told, and tells the others from then on; one that comes back is told everything
 * before it can want the address back ({@link #isSettled}). Who has an address knows its connections better than
 * anybody: of those it takes only what it has not got.
 *
 * <p><b>Why TCP.</b> What is lost must be told again and nothing out of order, a slow listener has to slow the teller
 * down, and changes that it has no time for should come together into one. A stream does all of this: what is not sent
 * yet is not queued but looked up when there is room. There is no other state than what the other one was told, and a
 * connection that breaks begins with all of it again.
 *
 * <p><b>Lag</b> is measured and not estimated: from the last look before a change was found to the other side's word
 * that it has it. What is younger than that when a director dies is lost.
 *
 * <p>Peers are authenticated by a common secret ({@link Seal}). Threads and sockets belong to the network namespace of
 * the thread that makes this.
 */
public final class ConnectionSync implements AutoCloseable {
    /** Between two looks at what has changed, of who has an address. */
    private static final long LOOKING_MS = 20;

    /** The same of who has none, and so has nothing to tell. */
    private static final long IDLING_MS = 200;

    /** Something is said so often at least. */
    private static final long BEATING_NANOS = 250_000_000;

    /** So often a part of everything is looked at once more. */
    private static final long SWEEPING_NANOS = 1_000_000_000;

    private static final int SILENCE_MS = 5_000;
    private static final long AGAIN_MS = 500;

    /** Who has not answered for so long may be another one by now. */
    private static final long STUCK_NANOS = 1_000_000_000;

    /** Who is not here by then is not waited for. */
    private static final long SETTLING_NANOS = 3_000_000_000L;

    /** So many messages may be under way. */
    private static final int UNDER_WAY = 64;

    /** What somebody may say at most who has not shown that he has the secret. */
    private static final int STRANGERS_MESSAGE = 64;

    /** So many of them at once. */
    private static final int STRANGERS = 8;

    /**
     * Another director.
     *
     * @param node its name in the description
     * @param own where it is called from here: it listens to nobody else
     * @param address where it listens, and calls from
     */
    public record Peer(String node, InetAddress own, InetAddress address) {}

    /**
     * Who takes part.
     *
     * @param node the name of this one
     * @param listen its addresses toward the others
     * @param port where each of them listens
     * @param secret that all of them have
     */
    public record Settings(String node, Set<InetAddress> listen, int port, String secret, List<Peer> peers) {
        /** Without the secret. */
        @Override
        public String toString() {
            return String.format(
                    Locale.ROOT, "Settings[node=%s, listen=%s, port=%d, peers=%s]", node, listen, port, peers);
        }
    }

    /** Hears what people should know; on any thread, once for each reason. */
    @FunctionalInterface
    public interface Reports {
        /**
         * Something is worth a line of the journal.
         *
         * @param warning whether somebody has to do something
         * @param node whom it is about
         */
        void note(boolean warning, String node, String message);
    }

    /**
     * How it goes with one other director.
     *
     * @param telling whether it hears what this one tells
     * @param told entries that were sent to it
     * @param complete whether it has heard everything that there was
     * @param lagNanos how old the oldest change is that it may not have; while it hears nothing, of the last word
     * @param mostLagNanos the most since it had everything first
     * @param hearing whether it tells this one
     * @param heard entries that came from it
     * @param taken those that are in the table now, or were
     * @param refused the others by reason: {@code unknown} (no such endpoint or server here), {@code full}, {@code taken}
     * @param informed whether it has told everything that it had
     * @param trouble why it does not hear; empty where it does
     */
    public record State(
            String node,
            boolean telling,
            long told,
            boolean complete,
            long lagNanos,
            long mostLagNanos,
            boolean hearing,
            long heard,
            long taken,
            Map<String, Long> refused,
            boolean informed,
            String trouble) {}

    /**
     * How it goes.
     *
     * @param forged connections of who could not show that he has the secret, or damaged ones
     * @param strangers who called from no address of another director, and was not listened to
     */
    public record Status(List<State> peers, long forged, long strangers) {}

    private final Settings settings;
    private final Reports reports;
    private final byte[] secret;
    private final Map<String, Link> links = new TreeMap<>();
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    private final Set<ServerSocket> listening = ConcurrentHashMap.newKeySet();
    private final List<Thread> threads = new ArrayList<>();
    private final AtomicInteger waiting = new AtomicInteger();
    private final Set<InetAddress> admitted;
    private final AtomicLong strangers = new AtomicLong();
    private final AtomicLong forged = new AtomicLong();
    private final SecureRandom random = new SecureRandom();
    private final Object lock = new Object();
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile @Nullable ConnectionTable table;
    private volatile Set<InetAddress> ours = Set.of();
    private volatile boolean closed;
    /** Until when others are waited for. */
    private volatile long settling = System.nanoTime() + SETTLING_NANOS;

    /** Begins to listen and to call, as soon as there is a {@link #table}. */
    public ConnectionSync(Settings settings, Reports reports) {
        this.settings = settings;
        this.reports = reports;
        secret = settings.secret().getBytes(StandardCharsets.UTF_8);
        for (Peer peer : settings.peers()) {
            links.put(peer.node(), new Link(peer));
        }
        admitted = settings.peers().stream().map(Peer::address).collect(Collectors.toUnmodifiableSet());
        for (InetAddress address : settings.listen()) {
            start("connections-listen", () -> listen(address));
        }
        for (Link link : links.values()) {
            start("connections-" + link.peer.node(), link::call);
        }
    }

    private void start(String name, Runnable task) {
        Thread thread = Thread.ofPlatform().daemon().name(name).unstarted(task);
        synchronized (threads) {
            threads.removeIf(each -> !each.isAlive() && each.getState() != Thread.State.NEW);
            threads.add(thread);
        }
        thread.start();
    }

    /** What the tables' hash begins with at all directors that have this secret. */
    public static long hashOf(String secret) {
        return Seal.common(secret.getBytes(StandardCharsets.UTF_8));
    }

    /** Which table is told of, and written into; null while there is none. */
    public void table(@Nullable ConnectionTable now) {
        synchronized (lock) {
            table = now;
            lock.notifyAll();
        }
    }

    /** Which addresses this director has now. */
    public void has(Set<InetAddress> addresses) {
        ours = Set.copyOf(addresses);
    }

    /** Whether every other director that is there has told everything that it had. */
    public boolean isSettled() {
        if (System.nanoTime() - settling >= 0) {
            return true;
        }
        for (Link link : links.values()) {
            if (!link.informed && !link.absent) {
                return false;
            }
        }
        return true;
    }

    /**
     * This director may have lost the others out of sight, so it is to be told everything once more: until that is done, for
     * as long as at its start, it is not settled. Does not wait.
     */
    public void again() {
        if (table != null) {
            settling = System.nanoTime() + SETTLING_NANOS;
            links.values().forEach(Link::beginAgain);
        }
    }

    /** How it goes; on any thread. */
    public Status status() {
        return new Status(links.values().stream().map(Link::state).toList(), forged.get(), strangers.get());
    }

    /** Whether an endpoint is at one of the addresses, or of a service's clients any endpoint is. */
    private static Predicate<Names.Where> at(Set<InetAddress> addresses, Names names) {
        Set<String> services = new HashSet<>();
        names.endpoints()
                .values()
                .forEach(where -> where.endpoint()
                        .filter(endpoint -> addresses.contains(endpoint.address()))
                        .ifPresent(endpoint -> services.add(where.service())));
        return where -> where.endpoint()
                .map(endpoint -> addresses.contains(endpoint.address()))
                .orElseGet(() -> services.contains(where.service()));
    }

    private ConnectionTable awaitTable() throws InterruptedException, IOException {
        synchronized (lock) {
            while (true) {
                ConnectionTable now = table;
                if (closed) {
                    throw new IOException("closed");
                }
                if (now != null) {
                    return now;
                }
                lock.wait();
            }
        }
    }

    /** An engine that was closed under somebody's hands will be replaced; until then this is not called in a circle. */
    private void letGo(ConnectionTable old) throws InterruptedException {
        if (old.equals(table)) {
            var _ = ended.await(LOOKING_MS, TimeUnit.MILLISECONDS);
        }
    }

    // ---- One connection

    /** A socket with who is at its other end. */
    private final class Talk implements AutoCloseable {
        private final Socket socket;
        private final DataInputStream in;
        private final DataOutputStream out;
        private @Nullable Seal sealer;
        private @Nullable Seal opener;

        Talk(Socket socket) throws IOException {
            this.socket = socket;
            sockets.add(socket);
            if (closed) {
                socket.close();
            }
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(SILENCE_MS);
            in = new DataInputStream(new BufferedInputStream(socket.getInputStream(), 1 << 16));
            out = new DataOutputStream(new BufferedOutputStream(socket.getOutputStream(), 1 << 16));
        }

        /** Says who is here, and hears who is there. */
        Hello greet(boolean caller) throws IOException {
            byte[] nonce = new byte[Seal.NONCE];
            random.nextBytes(nonce);
            Hello mine = new Hello(settings.node(), nonce);
            // Who is called says nothing to who does not speak the protocol.
            Hello theirs = caller ? null : Hello.read(in);
            out.write(mine.bytes());
            out.flush();
            Hello other = theirs == null ? Hello.read(in) : theirs;
            Hello first = caller ? mine : other;
            Hello second = caller ? other : mine;
            sealer = Seal.of(secret, first, second, caller);
            opener = Seal.of(secret, first, second, !caller);
            return other;
        }

        void send(Message message) throws IOException {
            byte[] sealed = Objects.requireNonNull(sealer).seal(Message.encode(message));
            out.writeInt(sealed.length);
            out.write(sealed);
            out.flush();
        }

        Message receive(int longest) throws IOException {
            int length = in.readInt();
            if (length <= Seal.BYTES || length > longest + Seal.BYTES) {
                forged.incrementAndGet();
                throw new Hello.RefusedException("what it says has an impossible length");
            }
            byte[] sealed = new byte[length];
            in.readFully(sealed); // who ends in the middle is no forger
            byte[] message = Objects.requireNonNull(opener).open(sealed);
            if (message.length == 0) {
                forged.incrementAndGet();
                throw new Hello.RefusedException(
                        "it does not have the same key, or somebody has changed what it says: connection-sync.key must"
                                + " be the same on all nodes");
            }
            try {
                return Message.decode(message);
            } catch (Message.MalformedException e) {
                forged.incrementAndGet();
                throw new Hello.RefusedException("what it says makes no sense: " + e.getMessage());
            }
        }

        @Override
        public void close() {
            sockets.remove(socket);
            closeQuietly(socket);
        }
    }

    private static void closeQuietly(AutoCloseable what) {
        try {
            what.close();
        } catch (Exception e) {
            // It is given up; there is nobody who could do anything about it.
        }
    }

    // ---- Being called

    private void listen(InetAddress address) {
        String told = "";
        while (!closed) {
            try (ServerSocket socket = new ServerSocket()) {
                listening.add(socket);
                socket.setReuseAddress(true);
                socket.bind(new InetSocketAddress(address, settings.port()));
                told = "";
                accept(socket);
            } catch (IOException e) {
                String why = "cannot listen at " + address.getHostAddress() + " port " + settings.port()
                        + " for the connections of other directors: " + e.getMessage();
                if (!closed && !why.equals(told)) {
                    told = why;
                    reports.note(true, settings.node(), why);
                }
                pause(AGAIN_MS);
            }
        }
    }

    private void accept(ServerSocket listener) throws IOException {
        while (!closed) {
            Socket socket = listener.accept();
            if (!admitted.contains(socket.getInetAddress())) {
                closeQuietly(socket);
                stranger(socket.getInetAddress().getHostAddress());
                continue;
            }
            if (waiting.incrementAndGet() > STRANGERS) {
                waiting.decrementAndGet();
                closeQuietly(socket);
                continue;
            }
            start("connections-called", () -> called(socket));
        }
    }

    private void called(Socket socket) {
        boolean strange = true;
        String who = socket.getInetAddress().getHostAddress();
        try (Talk talk = new Talk(socket)) {
            Hello hello = talk.greet(false);
            Link link = links.get(hello.node());
            if (link == null) {
                throw new Hello.RefusedException("it is no node that this one shares addresses with");
            }
            talk.send(new Message.Heard(0, 0));
            talk.receive(STRANGERS_MESSAGE);
            strange = false;
            waiting.decrementAndGet();
            link.hear(talk);
        } catch (Hello.RefusedException e) {
            refuse(who, String.valueOf(e.getMessage()));
        } catch (IOException e) {
            // It went away; it will call again.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            if (strange) {
                waiting.decrementAndGet();
            }
        }
    }

    /** The first one is told of; who does that may do it for ever, and from everywhere. */
    private void stranger(String who) {
        if (strangers.getAndIncrement() == 0) {
            reports.note(
                    true,
                    who,
                    "it calls where directors tell each other of connections, from an address that is none of theirs: it is"
                            + " not listened to, nor are others, which are counted");
        }
    }

    private final Map<String, String> refusals = new ConcurrentHashMap<>();

    private void refuse(String who, String why) {
        // Who it is, anybody can say; so no more are kept than there may be.
        if (refusals.size() < STRANGERS && !why.equals(refusals.put(who, why))) {
            reports.note(true, who, "its connections are not heard of: " + why);
        }
    }

    /** Ends it so that the other side learns it at once, whatever was still under way. */
    private static void abort(Socket socket) {
        try {
            socket.setSoLinger(true, 0);
        } catch (IOException e) {
            // It is closed already.
        }
        closeQuietly(socket);
    }

    private void pause(long millis) {
        try {
            var _ = ended.await(millis, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** What was told, and when the oldest of it may have happened. */
    private record UnderWay(long sequence, long since) {}

    /** Another director. */
    private final class Link {
        private final Peer peer;
        private final Deque<UnderWay> underWay = new ArrayDeque<>();
        private final AtomicLong told = new AtomicLong();
        private final AtomicLong heard = new AtomicLong();
        private final AtomicLong taken = new AtomicLong();
        private final AtomicLong unknown = new AtomicLong();
        private final AtomicLong full = new AtomicLong();
        private final AtomicLong conflicts = new AtomicLong();
        private volatile @Nullable Changes changes;
        private volatile boolean telling;
        private volatile boolean complete;
        private volatile boolean again;
        private volatile boolean informed;
        /** Nobody listens there, so that nobody is to be waited for. */
        private volatile boolean absent;

        /** Cuts pauses short. */
        private final Semaphore hurry = new Semaphore(0);

        /** Where it is called, until it answers or does not. */
        private @Nullable Socket calling;

        /** Where it is told. */
        private @Nullable Socket tellingBy;

        private volatile String trouble = "nobody has answered yet";
        private long lag;
        private long mostLag;
        /** Where the others are told that everything has been told. */
        private long completeAt;

        /** Of those who call, the last one is the one. */
        private @Nullable Talk caller;

        Link(Peer peer) {
            this.peer = peer;
        }

        State state() {
            synchronized (underWay) {
                UnderWay oldest = underWay.peekFirst();
                long now = oldest == null ? lag : Math.max(lag, System.nanoTime() - oldest.since);
                return new State(
                        peer.node(),
                        telling,
                        told.get(),
                        complete,
                        now,
                        mostLag,
                        hears(),
                        heard.get(),
                        taken.get(),
                        Map.of("unknown", unknown.get(), "full", full.get(), "taken", conflicts.get()),
                        informed,
                        trouble);
            }
        }

        // -- Telling

        private void call() {
            try {
                callAgain();
            } catch (InterruptedException e) {
                // Nobody does that but to end it.
            }
        }

        private void callAgain() throws InterruptedException {
            while (!closed) {
                try {
                    ConnectionTable to = awaitTable();
                    try {
                        tell(to);
                    } catch (IllegalStateException e) {
                        letGo(to);
                    }
                } catch (IOException e) {
                    troubled(e);
                    var _ = hurry.tryAcquire(AGAIN_MS, TimeUnit.MILLISECONDS);
                } finally {
                    telling = false;
                    complete = false;
                }
            }
        }

        /** Only what somebody must do something about is told; that a director is not there, others say. */
        private void troubled(IOException e) {
            String why = e.getMessage() == null ? e.toString() : e.getMessage();
            boolean news = !why.equals(trouble);
            trouble = why;
            if (news && !closed && e instanceof Hello.RefusedException) {
                reports.note(true, peer.node(), "it is not told of connections: " + why);
            }
        }

        private void tell(ConnectionTable from) throws IOException, InterruptedException {
            Socket socket = new Socket();
            sockets.add(socket);
            calls(socket);
            try {
                socket.bind(new InetSocketAddress(peer.own(), 0));
                socket.connect(new InetSocketAddress(peer.address(), settings.port()), SILENCE_MS);
                answered(socket, true);
            } catch (IOException e) {
                answered(socket, false);
                sockets.remove(socket);
                closeQuietly(socket);
                throw e;
            }
            try (Talk talk = new Talk(socket)) {
                Hello hello = talk.greet(true);
                if (!hello.node().equals(peer.node())) {
                    throw new Hello.RefusedException("the node at "
                            + peer.address().getHostAddress() + " is " + hello.node() + " and not " + peer.node());
                }
                // What clients there are is nobody's business who has not shown that he has the secret.
                talk.receive(STRANGERS_MESSAGE);
                talk.send(new Message.Told(0, false, List.of()));
                synchronized (underWay) {
                    underWay.clear();
                    completeAt = 0;
                    mostLag = 0;
                }
                try (Changes looking = from.changes()) {
                    changes = looking;
                    trouble = "";
                    again = false;
                    telling = true;
                    start("connections-" + peer.node() + "-heard", () -> listenTo(talk));
                    tell(from, talk, looking);
                } finally {
                    changes = null;
                }
            }
        }

        private synchronized void calls(Socket socket) {
            hurry.drainPermits();
            calling = socket;
        }

        private synchronized void answered(Socket socket, boolean isThere) {
            if (socket.equals(calling)) { // else that has been ended here, and says nothing of the other one
                calling = null;
                absent = !isThere;
                tellingBy = isThere ? socket : null;
            }
        }

        /** It is to be told, and to tell, from the beginning. */
        synchronized void beginAgain() {
            absent = false;
            informed = false;
            List<Socket> ending = new ArrayList<>();
            if (caller != null) {
                ending.add(caller.socket);
                caller = null;
            }
            if (tellingBy != null) {
                ending.add(tellingBy);
                tellingBy = null;
            }
            callAtOnce(ending);
        }

        /** Who calls is there: so it can be called as well, and what does not answer is of the time when it was not. */
        private synchronized void callBack() {
            List<Socket> ending = new ArrayList<>();
            if (telling && isStuck() && tellingBy != null) {
                ending.add(tellingBy);
                tellingBy = null;
            }
            callAtOnce(ending);
        }

        /** Its own thread ends what there is, since who has it done must not wait. */
        private void callAtOnce(List<Socket> ending) {
            if (calling != null) {
                ending.add(calling);
                calling = null;
            }
            hurry.release();
            if (!ending.isEmpty()) {
                start("connections-" + peer.node() + "-again", () -> ending.forEach(ConnectionSync::abort));
            }
        }

        private boolean isStuck() {
            synchronized (underWay) {
                UnderWay oldest = underWay.peekFirst();
                return oldest != null && System.nanoTime() - oldest.since > STUCK_NANOS;
            }
        }

        private void tell(ConnectionTable from, Talk talk, Changes looking) throws IOException, InterruptedException {
            Names names = null;
            Set<InetAddress> had = Set.of();
            Predicate<Names.Where> wanted = where -> false;
            long sequence = 0;
            long beat = System.nanoTime();
            long swept = beat;
            while (!closed && from.equals(table) && telling) {
                Names now = from.names();
                Set<InetAddress> has = ours;
                if (!now.equals(names) || !has.equals(had)) {
                    if (!now.equals(names)) {
                        talk.send(new Message.Numbers(now));
                    }
                    looking.lookEverywhere();
                    names = now;
                    had = has;
                    wanted = at(has, now);
                }
                if (again) {
                    again = false;
                    looking.forget();
                }
                long at = System.nanoTime();
                if (at - swept > SWEEPING_NANOS && !has.isEmpty()) {
                    swept = at;
                    looking.lookSomewhere();
                }
                Look look = looking.next(wanted, Message.MOST_ENTRIES);
                boolean finished = !look.more() && !complete && completeAt == 0;
                if (!look.entries().isEmpty() || finished || at - beat > BEATING_NANOS) {
                    beat = at;
                    sequence = send(talk, look, sequence);
                }
                if (!look.more()) {
                    pause(has.isEmpty() ? IDLING_MS : LOOKING_MS);
                }
                awaitRoom();
            }
        }

        private long send(Talk talk, Look look, long before) throws IOException {
            long sequence = before;
            List<Entry> entries = look.entries();
            int from = 0;
            do {
                int to = Math.min(from + Message.MOST_ENTRIES, entries.size());
                sequence++;
                boolean all = to == entries.size() && !look.more();
                synchronized (underWay) {
                    underWay.addLast(new UnderWay(sequence, look.since()));
                    if (all && completeAt == 0) {
                        completeAt = sequence;
                    }
                }
                talk.send(new Message.Told(sequence, all, entries.subList(from, to)));
                told.addAndGet(to - from);
                from = to;
            } while (from < entries.size());
            return sequence;
        }

        private void awaitRoom() throws InterruptedException {
            synchronized (underWay) {
                while (underWay.size() > UNDER_WAY && telling && !closed) {
                    underWay.wait(LOOKING_MS);
                }
            }
        }

        /** Hears how far the other one has come. */
        private void listenTo(Talk talk) {
            try {
                while (!closed) {
                    switch (talk.receive(STRANGERS_MESSAGE)) {
                        case Message.Heard word -> heardUpTo(word.sequence());
                        case Message.Again word -> again = true;
                        case Message.Numbers word -> throw new Hello.RefusedException("it tells who is to be told");
                        case Message.Told word -> throw new Hello.RefusedException("it tells who is to be told");
                    }
                }
            } catch (IOException e) {
                troubled(e);
            } finally {
                telling = false;
                talk.close();
            }
        }

        private void heardUpTo(long sequence) {
            long now = System.nanoTime();
            synchronized (underWay) {
                for (UnderWay next = underWay.peekFirst();
                        next != null && next.sequence <= sequence;
                        next = underWay.peekFirst()) {
                    underWay.removeFirst();
                    lag = now - next.since;
                    if (complete) {
                        mostLag = Math.max(mostLag, lag);
                    }
                }
                complete |= completeAt != 0 && sequence >= completeAt;
                underWay.notifyAll();
            }
        }

        // -- Hearing

        private synchronized boolean hears() {
            return caller != null;
        }

        private synchronized void begin(Talk talk) {
            Talk before = caller;
            caller = talk;
            if (before != null) {
                before.close();
            }
        }

        private synchronized void end(Talk talk) {
            if (talk.equals(caller)) {
                caller = null;
                // What happens from now on it will have to be told first.
                informed = false;
            }
        }

        private synchronized void isInformed(Talk by) {
            informed |= by.equals(caller);
        }

        void hear(Talk talk) throws IOException, InterruptedException {
            begin(talk);
            callBack();
            try {
                new Ear(talk).run();
            } finally {
                end(talk);
            }
        }

        /** What one connection tells. */
        private final class Ear {
            private final Talk talk;
            private Names theirs = Names.NONE;
            private @Nullable Names mine;
            private @Nullable ConnectionTable into;
            private Names.Dictionary dictionary = Names.Dictionary.EMPTY;
            private boolean missed;

            Ear(Talk talk) {
                this.talk = talk;
            }

            void run() throws IOException, InterruptedException {
                while (!closed) {
                    switch (talk.receive(Message.LONGEST)) {
                        case Message.Numbers numbers -> {
                            theirs = numbers.names();
                            mine = null;
                        }
                        case Message.Told word -> {
                            take(word);
                            talk.send(new Message.Heard(word.sequence(), unknown.get() + full.get() + conflicts.get()));
                        }
                        case Message.Heard word -> throw new Hello.RefusedException("it answers who has not told");
                        case Message.Again word -> throw new Hello.RefusedException("it asks who has not told");
                    }
                }
            }

            private void take(Message.Told word) throws IOException, InterruptedException {
                heard.addAndGet(word.entries().size());
                while (true) {
                    ConnectionTable to = awaitTable();
                    try {
                        understand(to);
                        put(to, word.entries());
                        if (word.all() && !missed) {
                            isInformed(talk);
                        }
                        return;
                    } catch (IllegalStateException e) {
                        letGo(to);
                    }
                }
            }

            /** Follows changes of the description on either side. */
            private void understand(ConnectionTable to) throws IOException {
                Names now = to.names();
                if (now.equals(mine) && to.equals(into)) {
                    return;
                }
                boolean other = into != null && !to.equals(into);
                into = to;
                mine = now;
                dictionary = now.from(theirs);
                if (missed || other) {
                    missed = false;
                    talk.send(new Message.Again());
                }
            }

            private void put(ConnectionTable to, List<Entry> entries) {
                if (entries.isEmpty()) {
                    return;
                }
                List<Entry> understood = new ArrayList<>(entries.size());
                for (Entry entry : entries) {
                    Integer endpoint = dictionary.endpoints().get(entry.endpoint());
                    Integer server = dictionary.servers().get(entry.server());
                    if (endpoint == null || server == null) {
                        unknown.incrementAndGet();
                        missed = true;
                    } else {
                        understood.add(entry.by(endpoint, server));
                    }
                }
                for (Outcome outcome : to.put(understood, at(ours, to.names()), changes)) {
                    switch (outcome) {
                        case NEW, CHANGED, KNOWN -> taken.incrementAndGet();
                        case FULL -> full.incrementAndGet();
                        case TAKEN -> conflicts.incrementAndGet();
                    }
                }
            }
        }
    }

    /** Ends all conversations, and waits for the threads that had them. */
    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
        }
        ended.countDown();
        links.values().forEach(link -> link.hurry.release());
        listening.forEach(ConnectionSync::closeQuietly);
        sockets.forEach(ConnectionSync::closeQuietly);
        List<Thread> ending;
        synchronized (threads) {
            ending = List.copyOf(threads);
        }
        for (Thread thread : ending) {
            try {
                thread.join(TimeUnit.SECONDS.toMillis(2));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            }
        }
    }
}
