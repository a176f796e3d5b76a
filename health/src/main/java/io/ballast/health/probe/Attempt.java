package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Deadline;
import io.ballast.health.ProbeTarget;
import io.ballast.health.Texts;
import io.ballast.health.state.ProbeResult;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NativeSocket;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/**
 * One run of a probe: its connection, its deadline, and the story that becomes its reason. The story grows as the probe
 * gets on ({@code connected in 3 ms}, {@code HTTP 503}), so that whatever ends it, the reason also says how far it came.
 */
final class Attempt implements AutoCloseable {

    private final ProbeTarget target;
    private final Deadline deadline;
    private final long started = System.nanoTime();
    private final long timeout;
    private final StringBuilder story = new StringBuilder();
    private String awaited = "answer";
    private String detail = "";
    private boolean polite;
    private boolean datagrams;
    private @Nullable InetSocketAddress peer;
    private @Nullable NativeSocket socket;
    private @Nullable Socket stream;
    private @Nullable BoundedInput input;

    Attempt(ProbeTarget target, Deadline deadline) {
        this.target = target;
        this.deadline = deadline;
        // The deadline was set a few microseconds before this.
        this.timeout = TimeUnit.MILLISECONDS.toNanos(Math.round((deadline.nanoTime() - started) / 1e6));
    }

    ProbeTarget target() {
        return target;
    }

    Deadline deadline() {
        return deadline;
    }

    /** Adds to the story. */
    void say(String fact) {
        if (!story.isEmpty()) {
            story.append(", ");
        }
        story.append(fact);
    }

    /** Names what is being waited for, for the reason should it not come. */
    void await(String what) {
        awaited = what;
    }

    /** Keeps more text for people who look closer. */
    void detail(String text) {
        detail = text;
    }

    /** From now on the connection ends with a FIN instead of a reset, for servers that count resets as attacks. */
    void endPolitely() {
        polite = true;
    }

    /** Connects by TCP to the target's port, or to the protocol's own where it has none. */
    void connect(int defaultPort) throws IOException {
        closeSocket();
        InetSocketAddress to = target.socketAddress(defaultPort);
        peer = to;
        datagrams = false;
        long began = System.nanoTime();
        NativeSocket opened = NativeSocket.tcp(to.getAddress());
        socket = opened;
        prepare(opened);
        opened.connect(to, deadline.nanoTime());
        opened.noDelay();
        use(opened.asSocket(deadline.nanoTime()));
        say("connected in " + Texts.took(System.nanoTime() - began));
    }

    /** Opens a datagram socket toward the target's port, whose refusals come back as errors. */
    NativeSocket datagrams(int defaultPort) throws IOException {
        InetSocketAddress to = target.socketAddress(defaultPort);
        peer = to;
        datagrams = true;
        NativeSocket opened = NativeSocket.udp(to.getAddress());
        socket = opened;
        prepare(opened);
        opened.connect(to, deadline.nanoTime());
        return opened;
    }

    private void prepare(NativeSocket opened) throws IOException {
        if (target.bindInterface().isPresent()) {
            opened.bindToDevice(target.bindInterface().get());
        }
        if (target.source().isPresent()) {
            opened.bind(new InetSocketAddress(target.source().get(), 0));
        }
    }

    /**
     * Starts TLS on the connection, and holds the server's certificate against what the check wants.
     *
     * @param name the server's name where the description of TLS gives none; empty takes its address
     * @param protocol to offer by ALPN; empty offers nothing
     */
    void startTls(TlsClient tls, ProbeSpec.Tls spec, Optional<String> name, Optional<String> protocol)
            throws IOException, ProbeFailure {
        if (stream == null) {
            throw new IllegalStateException("TLS before a connection");
        }
        if (input().buffered() > 0) {
            throw new ProbeFailure("the server sent data between its consent to TLS and the handshake");
        }
        String before = awaited;
        await("TLS handshake");
        use(tls.layer(stream, spec, name, protocol, target));
        await(before);
    }

    private void use(Socket now) throws IOException {
        stream = now;
        InputStream from = now.getInputStream();
        input = new BoundedInput(from);
    }

    /** What the server sends. */
    BoundedInput input() {
        if (input == null) {
            throw new IllegalStateException("not connected");
        }
        return input;
    }

    /** What goes to the server; each write is sent at once. */
    OutputStream output() throws IOException {
        if (stream == null) {
            throw new IllegalStateException("not connected");
        }
        return stream.getOutputStream();
    }

    /** The connection as it is now, TLS included. */
    Socket stream() {
        if (stream == null) {
            throw new IllegalStateException("not connected");
        }
        return stream;
    }

    private long tookMicros() {
        return TimeUnit.NANOSECONDS.toMicros(System.nanoTime() - started);
    }

    ProbeResult success() {
        return new ProbeResult(ProbeResult.Outcome.SUCCESS, story.toString(), tookMicros(), "", detail);
    }

    ProbeResult failure(ProbeFailure e) {
        String reason = e.getMessage() == null ? "failed" : e.getMessage();
        return failed(story.isEmpty() ? reason : story + ", " + reason);
    }

    private ProbeResult failed(String reason) {
        return new ProbeResult(ProbeResult.Outcome.FAILURE, reason, tookMicros(), "", detail);
    }

    /** What an exception means: the server's fault, the director's, or the end of the check. */
    ProbeResult failure(IOException e) throws InterruptedException {
        if (Thread.interrupted()) {
            throw new InterruptedException("the check was removed");
        }
        String who = peer == null ? target.toString() : text(peer);
        Throwable cause = cause(e);
        if (cause instanceof SocketTimeoutException) {
            return failed(late(who));
        }
        if (cause instanceof InterruptedIOException) {
            throw new InterruptedException("the check was removed");
        }
        if (cause instanceof LinuxException linux) {
            return failure(linux, who);
        }
        String reason = switch (e) {
            case SSLException ssl -> TlsClient.reason(ssl);
            case EOFException _ -> who + " closed the connection before its answer was complete";
            default -> e.getMessage() == null ? e.toString() : e.getMessage();
        };
        return failed(story.isEmpty() ? reason : story + ", " + reason);
    }

    /** Java's file system calls keep the error number to themselves, and give its text, which is not translated. */
    static boolean outOfDescriptors(IOException e) {
        return e.getMessage() != null && e.getMessage().contains("Too many open files");
    }

    private String late(String who) {
        String within = " within " + Texts.limit(timeout);
        if (story.isEmpty()) {
            return "no " + awaited + " from " + who + within;
        }
        long came = input == null ? 0 : input.total();
        return came == 0
                ? "no " + awaited + within + " (" + story + ")"
                : "no end of the " + awaited + within + " (" + story + ", " + Texts.bytes(came) + " came)";
    }

    /** JSSE wraps what the socket beneath it throws. */
    private static Throwable cause(IOException e) {
        for (Throwable t = e; t != null; t = t.getCause()) {
            if (t instanceof LinuxException || t instanceof InterruptedIOException) {
                return t;
            }
        }
        return e;
    }

    private ProbeResult failure(LinuxException e, String who) {
        String so = story.isEmpty() ? "" : " (" + story + ")";
        return switch (e.errno()) {
            case ECONNREFUSED ->
                failed(
                        datagrams
                                ? "port unreachable: nothing listens on " + who + "/udp"
                                : "connection refused by " + who + so);
            case ECONNRESET -> failed("connection reset by " + who + so);
            case EPIPE -> failed(who + " closed the connection" + so);
            case EHOSTUNREACH -> failed("no route to " + who + ": host unreachable" + so);
            case ENETUNREACH -> failed("no route to " + who + ": network unreachable" + so);
            case ETIMEDOUT -> failed("the kernel gave up on the connection to " + who + " (ETIMEDOUT)" + so);
            case EMFILE, ENFILE -> unable(e, "raise LimitNOFILE (EMFILE) or fs.file-max (ENFILE)");
            case ENOMEM, ENOBUFS -> unable(e, "the director is short of memory");
            case EADDRNOTAVAIL ->
                unable(
                        e,
                        e.call().equals("bind")
                                ? "the source address is not on this node at present"
                                : "no local port is free: widen net.ipv4.ip_local_port_range");
            case EADDRINUSE, EAGAIN -> unable(e, "no local port is free: widen net.ipv4.ip_local_port_range");
            default -> failed(e.getMessage() + so);
        };
    }

    private ProbeResult unable(LinuxException e, String hint) {
        return ProbeResult.inconclusive(e.getMessage() + ": " + hint, tookMicros());
    }

    private static String text(InetSocketAddress address) {
        return new ProbeTarget(address.getAddress(), address.getPort(), Optional.empty(), Optional.empty(), "", "")
                .toString();
    }

    private void closeSocket() {
        NativeSocket open = socket;
        socket = null;
        stream = null;
        input = null;
        if (open == null) {
            return;
        }
        try {
            if (!polite) {
                open.abortOnClose();
            }
        } catch (IOException e) {
            // Not connected, or reset by the server already: closing is all that is left.
            polite = true;
        } finally {
            open.close();
        }
    }

    @Override
    public void close() {
        closeSocket();
    }
}
