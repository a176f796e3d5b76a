package io.ballast.lab.load;

import io.ballast.lab.topology.Echo;
import java.io.EOFException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.BindException;
import java.net.ConnectException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.NoRouteToHostException;
import java.net.PortUnreachableException;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Sends HTTP requests, or datagrams, at a constant rate, whatever becomes of them.
 *
 * <p>The usual load generator has a fixed number of clients, each of which waits for its answer before it asks again.
 * When the service stalls for a second, such clients stop asking, and the stall shows up as one slow answer among
 * thousands of quick ones: the measurement politely looks away while the thing to be measured happens ("coordinated
 * omission"). Real clients do not know of each other. So here a schedule says when each request is due; a request is
 * started when it is due even if earlier ones are still waiting, and its latency counts from that moment, so that being
 * late is never for free. A stall of a second at 1,000 requests a second is then seen by a thousand requests.
 *
 * <p>One platform thread keeps the schedule. Each request is a virtual thread that reads like what it does: connect,
 * send, read, judge. By default every request has its own connection, which is what shows whether a new client is
 * served; the server is asked to close it, so that the thousands of connections in TIME_WAIT stay on the server's side,
 * where they do not use up the client's ports.
 */
final class LoadGenerator implements AutoCloseable {
    /** Requests under way at once; beyond it the generator would measure itself. */
    private static final int MAX_UNDER_WAY = 20_000;

    /** A port that was used is not used again soon: a director may remember it. */
    private static final AtomicInteger NEXT_PORT = new AtomicInteger();

    private static final int FIRST_PORT = 10_000;
    private static final int PORTS = 50_000;
    private static final int PORT_ATTEMPTS = 100;

    private final LoadPlan plan;
    private final byte[] request;
    private final long start;
    private final Tally tally;
    private final Duration cpuAtStart = cpu();
    private final AtomicInteger underWay = new AtomicInteger();
    private final ConcurrentLinkedDeque<Socket> idle = new ConcurrentLinkedDeque<>();
    private final Thread pacer;
    private volatile boolean stopped;
    private volatile long end;

    /** Begins to send. */
    LoadGenerator(LoadPlan plan) {
        this.plan = plan;
        String host = plan.target().getAddress().getHostAddress();
        this.request = ("GET " + plan.path() + " HTTP/1.1\r\n"
                        + "Host: " + (host.indexOf(':') < 0 ? host : "[" + host + "]") + "\r\n"
                        + "User-Agent: ballast-drill\r\n"
                        + (plan.keepAlive() ? "\r\n" : "Connection: close\r\n\r\n"))
                .getBytes(StandardCharsets.US_ASCII);
        this.start = System.nanoTime();
        this.tally = new Tally(start, Instant.now());
        this.pacer = Thread.ofPlatform().name("pacer").daemon().start(this::pace);
    }

    /** What ended since the last call. */
    Sample sample() {
        return tally.sample(Instant.now());
    }

    /** Ends sending, waits for the requests under way (no longer than their time-out) and says what the run saw. */
    LoadResult stop() throws InterruptedException {
        stopped = true;
        pacer.join();
        long giveUp = System.nanoTime()
                + plan.timeout().toNanos()
                + Duration.ofSeconds(1).toNanos();
        while (underWay.get() > 0 && System.nanoTime() < giveUp) {
            Thread.sleep(2);
        }
        return tally.result(end, cpu().minus(cpuAtStart));
    }

    /** Closes the connections kept for further requests. */
    @Override
    public void close() {
        stopped = true;
        for (Socket socket = idle.poll(); socket != null; socket = idle.poll()) {
            closeQuietly(socket);
        }
    }

    private void pace() {
        double nanosPerRequest = 1e9 / plan.rate();
        for (long i = 0; ; i++) {
            long intended = start + (long) (i * nanosPerRequest);
            // Parking may end early; a late start is made up for by starting all that is due at once.
            for (long left = intended - System.nanoTime(); left > 0 && !stopped; left = intended - System.nanoTime()) {
                LockSupport.parkNanos(left);
            }
            if (stopped) {
                end = intended;
                return;
            }
            tally.due();
            if (underWay.incrementAndGet() > MAX_UNDER_WAY) {
                tally.ended(intended, System.nanoTime(), Outcome.CLIENT, "");
                underWay.decrementAndGet();
                continue;
            }
            Thread.startVirtualThread(() -> {
                if (plan.udp()) {
                    ask(intended);
                } else {
                    request(intended);
                }
            });
        }
    }

    private void request(long intended) {
        Socket socket = null;
        boolean kept = false;
        boolean counted = false;
        try {
            long deadline = intended + plan.timeout().toNanos();
            socket = connection(deadline);
            InputStream in = new DeadlineInput(socket, deadline);
            socket.getOutputStream().write(request);
            HttpAnswer answer = HttpAnswer.read(in);
            counted = true;
            ended(intended, judge(answer), answer.server());
            if (plan.keepAlive()) {
                kept = answer.keepAlive() && !stopped;
                if (kept) {
                    idle.addFirst(socket);
                }
            } else if (in.read() >= 0) {
                // More than the answer; nothing to learn from it, and the close below ends it.
                return;
            }
        } catch (IOException e) {
            if (!counted) {
                ended(intended, kind(e), "");
            }
        } finally {
            if (socket != null && !kept) {
                closeQuietly(socket);
            }
        }
    }

    /** One datagram, and what comes back to its port. */
    private void ask(long intended) {
        byte[] question = ("request " + intended).getBytes(StandardCharsets.US_ASCII);
        try (DatagramSocket socket = port()) {
            socket.connect(plan.target()); // nobody else's answer counts
            socket.send(new DatagramPacket(question, question.length));
            socket.setSoTimeout(millisUntil(intended + plan.timeout().toNanos()));
            DatagramPacket answer = new DatagramPacket(new byte[256], 256);
            socket.receive(answer);
            String text = new String(answer.getData(), 0, answer.getLength(), StandardCharsets.US_ASCII);
            String server = text.substring(0, Math.max(0, text.indexOf(':')));
            boolean right = text.equals(Echo.answer(server, new String(question, StandardCharsets.US_ASCII)));
            ended(intended, right ? Outcome.OK : Outcome.BODY, right ? server : "");
        } catch (IOException e) {
            ended(intended, kind(e), "");
        }
    }

    /** A socket whose port was not used by this process for the longest time. */
    private static DatagramSocket port() throws IOException {
        BindException last = new BindException("no free port");
        for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
            try {
                return new DatagramSocket(FIRST_PORT + Math.floorMod(NEXT_PORT.getAndIncrement(), PORTS));
            } catch (BindException e) {
                last = e;
            }
        }
        throw last;
    }

    private void ended(long intended, Outcome outcome, String server) {
        tally.ended(intended, System.nanoTime(), outcome, server);
        underWay.decrementAndGet();
    }

    private Socket connection(long deadline) throws IOException {
        Socket kept = plan.keepAlive() ? idle.pollFirst() : null;
        if (kept != null) {
            return kept;
        }
        Socket socket = new Socket();
        try {
            socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
            socket.connect(plan.target(), millisUntil(deadline));
            return socket;
        } catch (IOException e) {
            closeQuietly(socket);
            throw e;
        }
    }

    private Outcome judge(HttpAnswer answer) {
        if (answer.server().equals("sorry")) {
            return Outcome.SORRY;
        }
        if (answer.status() != plan.status()) {
            return Outcome.STATUS;
        }
        return answer.body().contains(plan.text()) ? Outcome.OK : Outcome.BODY;
    }

    /** The JDK tells these apart by exception type where it can, and by the system's message where it cannot. */
    static Outcome kind(IOException e) {
        String message = e.getMessage() == null ? "" : e.getMessage().toLowerCase(Locale.ROOT);
        return switch (e) {
            case SocketTimeoutException _ -> Outcome.TIMEOUT;
            case BindException _ -> Outcome.CLIENT;
            case NoRouteToHostException _ -> Outcome.UNREACHABLE;
            case ConnectException _ -> message.contains("timed out") ? Outcome.TIMEOUT : Outcome.REFUSED;
            case EOFException _ -> Outcome.CLOSED;
            case PortUnreachableException _ -> Outcome.REFUSED;
            case SocketException _ when message.contains("too many open files") -> Outcome.CLIENT;
            case SocketException _ when message.contains("unreachable") -> Outcome.UNREACHABLE;
            case SocketException _ -> Outcome.RESET;
            default -> Outcome.STATUS;
        };
    }

    private static int millisUntil(long deadline) throws SocketTimeoutException {
        long millis = (deadline - System.nanoTime()) / 1_000_000;
        if (millis <= 0) {
            throw new SocketTimeoutException("the request's time is over");
        }
        return (int) Math.min(millis, Integer.MAX_VALUE);
    }

    private static void closeQuietly(Socket socket) {
        try {
            socket.close();
        } catch (IOException e) {
            // The request has been judged; how its connection ends changes nothing.
        }
    }

    private static Duration cpu() {
        return ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
    }

    /** Lets all reads of a request together take no longer than its deadline. */
    private static final class DeadlineInput extends FilterInputStream {
        private final Socket socket;
        private final long deadline;

        DeadlineInput(Socket socket, long deadline) throws IOException {
            super(socket.getInputStream());
            this.socket = socket;
            this.deadline = deadline;
        }

        @Override
        public int read() throws IOException {
            socket.setSoTimeout(millisUntil(deadline));
            return super.read();
        }

        @Override
        public int read(byte @Nullable [] bytes, int offset, int length) throws IOException {
            socket.setSoTimeout(millisUntil(deadline));
            return super.read(bytes, offset, length);
        }
    }
}
