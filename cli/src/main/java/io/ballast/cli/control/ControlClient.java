package io.ballast.cli.control;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.ValueKind;
import io.ballast.node.Directories;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * A client of the daemon's control API (docs/control-api.md): one HTTP/1.1 request per connection on its unix socket.
 *
 * <p>The JDK's own HTTP client knows no unix sockets and costs a verb a tenth of a second to load; what one request and
 * one answer need of RFC 9112 is little and stands here.
 */
public final class ControlClient {
    /** Where the socket is, for every verb that talks to the daemon. */
    public static final Option SOCKET = Option.value(
            "--socket", ValueKind.FILE, "PATH", "the daemon's control socket (default: RUNDIR/control.sock)");

    /** Where the daemon of the package listens. */
    private static final Path SYSTEM = Path.of("/run/ballast/control.sock");

    private static final int MAX_HEAD = 64 * 1024;

    /** A daemon that says nothing for so long hangs: it waits for nobody longer than five seconds to answer a question. */
    private static final Duration PATIENCE = Duration.ofSeconds(12);

    /** So many times as long after a description was sent, which it reads, resolves and applies first. */
    private static final int WHILE_APPLYING = 8;

    private final Path socket;
    /** Where the system's daemon listens, if that is not the one asked and nobody chose between the two. */
    private final Optional<Path> system;

    private final Duration patience;

    /** A client of the daemon that listens at this path. */
    public ControlClient(Path socket) {
        this(socket, Optional.empty(), PATIENCE);
    }

    ControlClient(Path socket, Optional<Path> system) {
        this(socket, system, PATIENCE);
    }

    /** One with another patience for questions. */
    ControlClient(Path socket, Optional<Path> system, Duration patience) {
        this.socket = socket;
        this.system = system;
        this.patience = patience;
    }

    /** A client of the daemon that {@code --socket} or the environment names. */
    public static ControlClient of(Invocation call) {
        Optional<Path> named = call.path(SOCKET.name());
        Directories usual = Directories.of(call.environment(), Optional.empty(), Optional.empty());
        boolean chosen = named.isPresent()
                || !call.environment().getOrDefault("BALLAST_RUN_DIR", "").isEmpty();
        return new ControlClient(
                named.orElse(usual.controlSocket()),
                Optional.of(SYSTEM).filter(system -> !chosen && !system.equals(usual.controlSocket())));
    }

    /** {@code GET}: the answer's JSON. */
    public JsonObject get(String path) throws Failure {
        return call("GET", path, Optional.empty());
    }

    /** Any method, with a JSON body where there is one: the answer's JSON, empty where there is none. */
    public JsonObject call(String method, String path, Optional<JsonElement> body) throws Failure {
        byte[] bytes =
                body.map(b -> b.toString().getBytes(StandardCharsets.UTF_8)).orElse(new byte[0]);
        Answer answer = exchange(method, path, "Content-Type: application/json\r\n", bytes, patience);
        return answer.successful();
    }

    /**
     * Sends the text of a description: the answer whatever its status, since a refused description comes with its
     * problems.
     *
     * @param file its name, for messages
     */
    public Answer describe(String path, String file, byte[] yaml) throws Failure {
        // A header holds visible ASCII; the name is for messages only.
        String name = file.replaceAll("[^ -~]", "?");
        return exchange(
                "POST",
                path,
                "Content-Type: application/yaml\r\nX-Ballast-File: " + name + "\r\n",
                yaml,
                patience.multipliedBy(WHILE_APPLYING));
    }

    /** {@code GET} of one JSON object a line, each handed over as it comes, until the daemon ends the answer. */
    public void lines(String path, Consumer<JsonObject> each) throws Failure {
        lines(path, each, stop -> {});
    }

    /**
     * The same, which may be ended early.
     *
     * @param stopping is given, once the daemon answers, what tells it from another thread that nobody wants more; what
     *     it still says comes as ever
     */
    public void lines(String path, Consumer<JsonObject> each, Consumer<Runnable> stopping) throws Failure {
        try (SocketChannel channel = open()) {
            Head head;
            InputStream body;
            try (Watch watch = new Watch(channel, patience)) {
                connect(channel);
                InputStream in = send(channel, "GET", path, "", new byte[0]);
                head = Head.read(watch.over(in));
                if (head.status >= 300) {
                    new Answer(head.status, json(head.body(watch.over(in)).readAllBytes())).successful();
                }
                // From here on silence means only that nothing happens.
                body = head.body(in);
            }
            stopping.accept(() -> endQuietly(channel));
            BufferedReader reader = new BufferedReader(new InputStreamReader(body, StandardCharsets.UTF_8));
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (!line.isBlank()) {
                    each.accept(json(line.getBytes(StandardCharsets.UTF_8)));
                }
            }
        } catch (ClosedChannelException e) {
            throw silent(patience);
        } catch (IOException e) {
            throw broken(e);
        }
    }

    private static void endQuietly(SocketChannel channel) {
        try {
            channel.shutdownOutput();
        } catch (IOException e) {
            // The daemon has ended it already, and whoever reads has seen that.
        }
    }

    /** A text for use as one segment of a path or as a value of a query (RFC 3986, section 2.1). */
    public static String encode(String text) {
        StringBuilder encoded = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (b & 0xff);
            if ((c < 0x80 && Character.isLetterOrDigit(c)) || "-._~".indexOf(c) >= 0) {
                encoded.append(c);
            } else {
                encoded.append('%')
                        .append(Character.toUpperCase(Character.forDigit(c >> 4, 16)))
                        .append(Character.toUpperCase(Character.forDigit(c & 15, 16)));
            }
        }
        return encoded.toString();
    }

    /** What the daemon answered. */
    public record Answer(int status, JsonObject json) {
        /** The JSON of a successful answer; what the daemon found wrong otherwise. */
        public JsonObject successful() throws Failure {
            if (status < 300) {
                return json;
            }
            String message = "the daemon answered with status " + status;
            if (json.get("error") instanceof JsonObject error && error.has("message")) {
                message = error.get("message").getAsString();
            }
            throw switch (status) {
                case 400, 413, 422 -> Failure.usage(message);
                case 401, 403 -> Failure.notPermitted(message);
                default -> Failure.failed(message);
            };
        }
    }

    private Answer exchange(String method, String path, String headers, byte[] body, Duration silence) throws Failure {
        try (SocketChannel channel = open()) {
            try (Watch watch = new Watch(channel, silence)) {
                connect(channel);
                InputStream in = watch.over(send(channel, method, path, headers, body));
                Head head = Head.read(in);
                byte[] answer = head.body(in).readAllBytes();
                return new Answer(head.status, head.status == 413 ? tooLarge(answer) : json(answer));
            }
        } catch (ClosedChannelException e) {
            throw silent(silence);
        } catch (IOException e) {
            throw broken(e);
        }
    }

    /** Closes a channel after some silence: a blocking one has no time-out of its own. */
    private static final class Watch implements AutoCloseable {
        private final long nanos;
        private final Thread thread;
        private volatile long heard = System.nanoTime();

        Watch(SocketChannel channel, Duration silence) {
            nanos = silence.toNanos();
            thread = Thread.ofPlatform().daemon().name("patience").start(() -> {
                try {
                    for (long left = nanos; left > 0; left = heard + nanos - System.nanoTime()) {
                        TimeUnit.NANOSECONDS.sleep(left);
                    }
                    channel.close();
                } catch (InterruptedException | IOException e) {
                    // The answer came, or the channel is closed already: nothing is left to end.
                    Thread.currentThread().interrupt();
                }
            });
        }

        /** The stream, of which each part counts as a sign of life. */
        InputStream over(InputStream in) {
            return new FilterInputStream(in) {
                @Override
                public int read() throws IOException {
                    int b = super.read();
                    heard = System.nanoTime();
                    return b;
                }

                @Override
                public int read(byte[] buffer, int offset, int length) throws IOException {
                    int count = super.read(buffer, offset, length);
                    heard = System.nanoTime();
                    return count;
                }
            };
        }

        @Override
        public void close() {
            thread.interrupt();
        }
    }

    private Failure broken(IOException e) {
        return Failure.failed("the daemon at " + socket + " did not answer: "
                + (e instanceof EOFException ? "it closed the connection" : e.getMessage())
                + "\n`ballast status` says whether it runs; its log says why it ended");
    }

    /** What to do about a daemon that does not answer; the lock beside its socket says which process it is. */
    private Failure silent(Duration silence) {
        String pid;
        try {
            pid = Files.readString(Directories.lockBeside(socket)).strip();
        } catch (IOException e) {
            pid = "";
        }
        String who = pid.matches("[0-9]+") ? " (pid " + pid + ")" : "";
        String number = who.isEmpty() ? "PID" : pid;
        return Failure.failed("the daemon" + who + " at " + socket + " gave no answer in " + silence.toSeconds()
                + " s: it hangs, is stopped, or has no open files left; or this machine is overloaded"
                + "\nIts log says more; `ps -o stat,time,args " + number + "` shows whether it is stopped (T) or busy"
                + "\nTo replace it: kill -9 " + number + ", and start it again where systemd does not;"
                + " traffic goes on meanwhile");
    }

    private static SocketChannel open() throws IOException {
        return SocketChannel.open(StandardProtocolFamily.UNIX);
    }

    private void connect(SocketChannel channel) throws Failure, IOException {
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
        } catch (ClosedChannelException e) {
            throw e;
        } catch (IOException e) {
            throw noDaemon(e);
        } catch (IllegalArgumentException e) {
            throw Failure.usage("--socket: \"" + socket + "\" is no path of a socket");
        }
    }

    private Failure noDaemon(IOException e) {
        String reason = e.getMessage() == null ? e.toString() : e.getMessage();
        if (reason.contains("Permission denied") || reason.contains("Operation not permitted")) {
            return Failure.notPermitted("the daemon's socket " + socket + " belongs to another user: permission denied"
                    + "\nAsk as that user, for instance: sudo ballast status");
        }
        String state;
        if (Files.notExists(socket)) {
            state = "there is no such file";
        } else if (reason.contains("Connection refused")) {
            state = "nobody listens there any more";
        } else {
            state = reason;
        }
        if (system.isPresent() && mayBeThere(system.get())) {
            return new Failure(
                    Exit.FAILED,
                    "no daemon of yours runs at " + socket + " (" + state + ")"
                            + "\nIf the system's daemon is meant, it belongs to root: sudo ballast status"
                            + "\nOr start one of yours: ballast run ballast.yaml");
        }
        return Failure.failed("no daemon runs at " + socket + " (" + state + ")"
                + "\nStart one: ballast run ballast.yaml, or systemctl start ballast where the package is installed"
                + "\nIf it runs elsewhere, name its socket: --socket PATH, or BALLAST_RUN_DIR=DIRECTORY");
    }

    /** The system's directory is root's alone, so another user only sees that there is one; a lab has one as well. */
    private static boolean mayBeThere(Path socket) {
        Path directory = socket.getParent();
        return Files.exists(socket)
                || (directory != null && Files.isDirectory(directory) && !Files.isExecutable(directory));
    }

    private static InputStream send(SocketChannel channel, String method, String path, String headers, byte[] body)
            throws IOException {
        String head = method + " " + path
                + " HTTP/1.1\r\nHost: ballast\r\nConnection: close\r\nAccept: application/json\r\n"
                + (body.length == 0 && method.equals("GET") ? "" : headers + "Content-Length: " + body.length + "\r\n")
                + "\r\n";
        byte[] headBytes = head.getBytes(StandardCharsets.ISO_8859_1);
        ByteBuffer request = ByteBuffer.allocate(headBytes.length + body.length);
        request.put(headBytes).put(body).flip();
        try {
            while (request.hasRemaining()) {
                channel.write(request);
            }
        } catch (ClosedChannelException e) {
            throw e;
        } catch (IOException e) {
            // Whoever refuses a request before its end may have said why before closing.
        }
        return Channels.newInputStream(channel);
    }

    /** A request that is refused before it is read gets a plain text. */
    private static JsonObject tooLarge(byte[] text) {
        JsonObject error = new JsonObject();
        error.addProperty("message", "the daemon refuses it: " + new String(text, StandardCharsets.UTF_8).strip());
        JsonObject answer = new JsonObject();
        answer.add("error", error);
        return answer;
    }

    private static JsonObject json(byte[] bytes) throws IOException {
        if (bytes.length == 0) {
            return new JsonObject();
        }
        try {
            if (JsonParser.parseString(new String(bytes, StandardCharsets.UTF_8)) instanceof JsonObject object) {
                return object;
            }
        } catch (JsonParseException e) {
            throw new IOException("its answer is not JSON", e);
        }
        throw new IOException("its answer is not a JSON object");
    }

    /** Status and framing of an answer. */
    private record Head(int status, long length, boolean chunked) {

        static Head read(InputStream in) throws IOException {
            int[] budget = {MAX_HEAD};
            String statusLine = line(in, budget);
            String[] parts = statusLine.split(" ", 3);
            if (parts.length < 2 || !parts[0].startsWith("HTTP/1.") || !parts[1].matches("[1-5][0-9][0-9]")) {
                throw new IOException("its answer is not HTTP: \"" + statusLine + "\"");
            }
            long length = -1;
            boolean chunked = false;
            for (String header = line(in, budget); !header.isEmpty(); header = line(in, budget)) {
                int colon = header.indexOf(':');
                if (colon < 0) {
                    throw new IOException("its answer has a broken header: \"" + header + "\"");
                }
                String value = header.substring(colon + 1).strip();
                switch (header.substring(0, colon).toLowerCase(Locale.ROOT)) {
                    case "content-length" -> length = number(value, 10);
                    case "transfer-encoding" -> chunked = value.equalsIgnoreCase("chunked");
                    default -> {}
                }
            }
            return new Head(Integer.parseInt(parts[1]), length, chunked);
        }

        InputStream body(InputStream in) {
            if (status == 204) {
                return InputStream.nullInputStream();
            }
            return chunked ? new Chunks(in) : length < 0 ? in : new Bounded(in, length);
        }
    }

    private static long number(String text, int radix) throws IOException {
        try {
            long number = Long.parseLong(text, radix);
            if (number >= 0) {
                return number;
            }
        } catch (NumberFormatException e) {
            throw new IOException("its answer has a length that is no number: \"" + text + "\"", e);
        }
        throw new IOException("its answer has a length below zero: " + text);
    }

    private static String line(InputStream in, int[] budget) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int b = in.read(); b != '\n'; b = in.read()) {
            if (b < 0) {
                throw new EOFException();
            }
            if (--budget[0] < 0) {
                throw new IOException("the head of its answer is longer than " + MAX_HEAD + " bytes");
            }
            line.write(b);
        }
        String text = line.toString(StandardCharsets.ISO_8859_1);
        return text.endsWith("\r") ? text.substring(0, text.length() - 1) : text;
    }

    /** A body of known length. */
    private static final class Bounded extends InputStream {
        private final InputStream in;
        private long left;

        Bounded(InputStream in, long length) {
            this.in = in;
            this.left = length;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            if (left == 0) {
                return -1;
            }
            int n = in.read(buffer, offset, (int) Math.min(length, left));
            if (n < 0) {
                throw new EOFException();
            }
            left -= n;
            return n;
        }
    }

    /** A body in chunks (RFC 9112, section 7.1); trailers are not asked for and not read. */
    private static final class Chunks extends InputStream {
        private final InputStream in;
        private long left;
        private boolean first = true;
        private boolean ended;

        Chunks(InputStream in) {
            this.in = in;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            if (left == 0 && !ended) {
                next();
            }
            if (ended) {
                return -1;
            }
            int n = in.read(buffer, offset, (int) Math.min(length, left));
            if (n < 0) {
                throw new EOFException();
            }
            left -= n;
            return n;
        }

        private void next() throws IOException {
            int[] budget = {MAX_HEAD};
            if (!first) {
                line(in, budget);
            }
            first = false;
            String size = line(in, budget);
            int extension = size.indexOf(';');
            left = number((extension < 0 ? size : size.substring(0, extension)).strip(), 16);
            ended = left == 0;
        }
    }
}
