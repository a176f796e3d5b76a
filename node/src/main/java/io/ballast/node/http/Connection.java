package io.ballast.node.http;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;

/** One client: requests in, answers out, one after the other, until either side has had enough. */
final class Connection implements Runnable {
    private static final int BUFFER = 16 * 1024;
    private static final long NEVER = Long.MAX_VALUE;
    /** A length that is not announced; it counts as a large one. */
    private static final long CHUNKED = Long.MAX_VALUE;
    /** Bytes that a client which was refused may still send before the connection is cut. */
    private static final int MAX_LINGER = 64 * 1024 * 1024;

    private final SocketChannel channel;
    private final UnixHttpServer.Handler handler;
    private final UnixHttpServer.Limits limits;
    private final Semaphore large;
    private final Consumer<String> trouble;
    private final Consumer<Connection> gone;
    private final ByteBuffer in = ByteBuffer.allocate(BUFFER).limit(0);
    private volatile long overdueAt;
    private volatile boolean answering;

    Connection(
            SocketChannel channel,
            UnixHttpServer.Handler handler,
            UnixHttpServer.Limits limits,
            Semaphore large,
            Consumer<String> trouble,
            Consumer<Connection> gone) {
        this.channel = channel;
        this.handler = handler;
        this.limits = limits;
        this.large = large;
        this.trouble = trouble;
        this.gone = gone;
        allow(limits.idle().toNanos());
    }

    private void allow(long nanos) {
        overdueAt = nanos == NEVER ? NEVER : System.nanoTime() + nanos;
    }

    /** Whether a client waits for an answer that will have an end. */
    boolean answering() {
        return answering;
    }

    /** Ends a connection whose client took too long; reads and writes under way fail. */
    void closeIfOverdue(long now) {
        long at = overdueAt;
        if (at != NEVER && now - at > 0) {
            close();
        }
    }

    void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // It is closed for us in any case, and the client has nothing to be told any more.
        }
    }

    void refuse() {
        try {
            channel.configureBlocking(false);
            var _ = channel.write(
                    ascii("HTTP/1.1 503 " + reason(503) + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
        } catch (IOException e) {
            // The client left before it was refused.
        } finally {
            close();
            gone.accept(this);
        }
    }

    @Override
    public void run() {
        try {
            boolean again = true;
            while (again) {
                again = exchange();
            }
        } catch (IOException e) {
            // The client left or was too slow; its loss.
        } catch (InterruptedException e) {
            // The client left while its answer was being made, or we are closing.
        } catch (RuntimeException | Error e) {
            trouble.accept("control connection: " + e);
        } finally {
            close();
            gone.accept(this);
        }
    }

    /** One request and its answer; whether another may follow. */
    private boolean exchange() throws IOException, InterruptedException {
        allow(limits.idle().toNanos());
        if (!in.hasRemaining() && !fill()) {
            return false;
        }
        allow(limits.request().toNanos());
        String head = "";
        boolean http10 = false;
        boolean keep;
        Response response;
        boolean headOnly = false;
        try {
            head = readHead();
            if (head.isEmpty()) {
                return false;
            }
            String[] lines = head.split("\r\n", -1);
            String[] start = lines[0].split(" ", -1);
            if (start.length != 3 || !start[2].matches("HTTP/1\\.[01]")) {
                throw new HttpException(400, "not an HTTP/1.1 request");
            }
            http10 = start[2].endsWith("0");
            headOnly = start[0].equals("HEAD");
            Map<String, String> headers = headers(lines);
            String connection = headers.getOrDefault("connection", "").toLowerCase(Locale.ROOT);
            keep = http10 ? connection.contains("keep-alive") : !connection.contains("close");
            response = answer(start, headers);
            answering = !response.endless();
        } catch (HttpException e) {
            // The rest of a request that was not understood cannot be told from the next one.
            keep = false;
            response = Response.text(e.status(), "text/plain; charset=utf-8", e.getMessage() + "\n");
        }
        keep &= !response.endless() && (response.length() >= 0 || !http10);
        send(response, keep, http10, headOnly);
        answering = false;
        if (!keep && !response.endless()) {
            linger();
        }
        return keep;
    }

    /** Reads the body and has the request answered; of large bodies only one is held at a time. */
    private Response answer(String[] start, Map<String, String> headers)
            throws IOException, HttpException, InterruptedException {
        long announced = bodyLength(headers);
        boolean alone = announced > UnixHttpServer.LARGE_BODY;
        if (alone) {
            allow(NEVER);
            large.acquire();
        }
        try {
            allow(limits.request().toNanos());
            byte[] body = announced == CHUNKED ? readChunks(headers) : readBody(headers, (int) announced);
            Request request = Request.of(start[0], start[1], headers, body);
            allow(NEVER);
            answering = true;
            return handler.answer(request);
        } finally {
            if (alone) {
                large.release();
            }
        }
    }

    private static Map<String, String> headers(String[] lines) throws HttpException {
        Map<String, String> headers = new HashMap<>();
        for (int i = 1; i < lines.length; i++) {
            String line = lines[i];
            int colon = line.indexOf(':');
            if (colon <= 0 || line.charAt(0) == ' ' || line.charAt(0) == '\t' || line.charAt(colon - 1) == ' ') {
                throw new HttpException(400, "malformed header line " + i);
            }
            String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
            String before = headers.put(name, line.substring(colon + 1).strip());
            // Two lengths are how requests are smuggled (RFC 9112, section 6.3).
            if (before != null && (name.equals("content-length") || name.equals("transfer-encoding"))) {
                throw new HttpException(400, "more than one " + name);
            }
        }
        return headers;
    }

    /** Everything up to the empty line, without it; empty when the client closed before the first byte. */
    private String readHead() throws IOException, HttpException {
        StringBuilder head = new StringBuilder();
        while (true) {
            while (in.hasRemaining()) {
                head.append((char) (in.get() & 0xff));
                int length = head.length();
                if (length >= 4
                        && head.charAt(length - 1) == '\n'
                        && head.charAt(length - 2) == '\r'
                        && head.charAt(length - 3) == '\n'
                        && head.charAt(length - 4) == '\r') {
                    head.setLength(length - 4);
                    if (head.isEmpty()) {
                        throw new HttpException(400, "an empty request");
                    }
                    return head.toString();
                }
                if (length >= UnixHttpServer.MAX_HEAD) {
                    throw new HttpException(
                            431, "request line and headers exceed " + UnixHttpServer.MAX_HEAD + " bytes");
                }
            }
            if (!fill()) {
                if (head.isEmpty()) {
                    return "";
                }
                throw new HttpException(400, "the request ends in its head");
            }
        }
    }

    /** Bytes of the body that follows; {@link #CHUNKED} where the chunks will tell. */
    private long bodyLength(Map<String, String> headers) throws HttpException {
        String coding = headers.get("transfer-encoding");
        String length = headers.get("content-length");
        if (coding == null && length == null) {
            return 0;
        }
        if (coding != null && length != null) {
            throw new HttpException(400, "both Transfer-Encoding and Content-Length");
        }
        if (coding != null && !coding.equalsIgnoreCase("chunked")) {
            throw new HttpException(501, "transfer coding " + coding + " is not supported, only chunked");
        }
        long announced = length == null ? CHUNKED : number(length, 10, "Content-Length");
        if (announced > limits.body() && announced != CHUNKED) {
            throw tooLarge();
        }
        return announced;
    }

    private void invite(Map<String, String> headers) throws IOException {
        if (headers.getOrDefault("expect", "").equalsIgnoreCase("100-continue") && !in.hasRemaining()) {
            write(ascii("HTTP/1.1 100 Continue\r\n\r\n"));
        }
    }

    private byte[] readBody(Map<String, String> headers, int length) throws IOException, HttpException {
        if (length > 0) {
            invite(headers);
        }
        byte[] body = new byte[length];
        int filled = 0;
        while (filled < length) {
            if (!in.hasRemaining() && !fill()) {
                throw new HttpException(400, "the request ends in its body");
            }
            int now = Math.min(length - filled, in.remaining());
            in.get(body, filled, now);
            filled += now;
        }
        return body;
    }

    private byte[] readChunks(Map<String, String> headers) throws IOException, HttpException {
        invite(headers);
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        while (true) {
            String size = readLine();
            int semicolon = size.indexOf(';');
            long chunk = number((semicolon < 0 ? size : size.substring(0, semicolon)).strip(), 16, "chunk size");
            if (chunk == 0) {
                break;
            }
            if (body.size() + chunk > limits.body()) {
                throw tooLarge();
            }
            take(body, chunk);
            if (!readLine().isEmpty()) {
                throw new HttpException(400, "a chunk is longer than it said");
            }
        }
        // Trailer fields are allowed and ignored, as many as a head may have.
        int trailer = 0;
        for (String line = readLine(); !line.isEmpty(); line = readLine()) {
            trailer += line.length() + 2;
            if (trailer > UnixHttpServer.MAX_HEAD) {
                throw new HttpException(431, "the trailer exceeds " + UnixHttpServer.MAX_HEAD + " bytes");
            }
        }
        return body.toByteArray();
    }

    private HttpException tooLarge() {
        return new HttpException(
                413, "the body exceeds " + limits.body() + " bytes, the most that this daemon's memory allows");
    }

    private static long number(String text, int radix, String what) throws HttpException {
        try {
            // Not Long.parseLong alone: that takes signs.
            if (text.isEmpty() || text.length() > 15 || Character.digit(text.charAt(0), radix) < 0) {
                throw new NumberFormatException();
            }
            return Long.parseLong(text, radix);
        } catch (NumberFormatException e) {
            throw new HttpException(400, what + " \"" + text + "\" is not a number");
        }
    }

    private String readLine() throws IOException, HttpException {
        StringBuilder line = new StringBuilder();
        while (true) {
            while (in.hasRemaining()) {
                char c = (char) (in.get() & 0xff);
                if (c == '\n' && !line.isEmpty() && line.charAt(line.length() - 1) == '\r') {
                    line.setLength(line.length() - 1);
                    return line.toString();
                }
                line.append(c);
                if (line.length() > 1024) {
                    throw new HttpException(400, "a line in the chunked body is too long");
                }
            }
            if (!fill()) {
                throw new HttpException(400, "the request ends in its body");
            }
        }
    }

    private void take(ByteArrayOutputStream body, long count) throws IOException, HttpException {
        long left = count;
        while (left > 0) {
            if (!in.hasRemaining() && !fill()) {
                throw new HttpException(400, "the request ends in its body");
            }
            int now = (int) Math.min(left, in.remaining());
            body.write(in.array(), in.position(), now);
            in.position(in.position() + now);
            left -= now;
        }
    }

    /** Reads what has come; false when the client has closed. */
    private boolean fill() throws IOException {
        in.clear();
        int count = channel.read(in);
        in.flip();
        return count > 0;
    }

    private void write(ByteBuffer... parts) throws IOException {
        while (parts[parts.length - 1].hasRemaining()) {
            allow(limits.write().toNanos());
            var _ = channel.write(parts);
        }
    }

    private static ByteBuffer ascii(String text) {
        return ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
    }

    private void send(Response response, boolean keep, boolean http10, boolean headOnly)
            throws IOException, InterruptedException {
        boolean chunked = response.length() < 0 && !http10;
        StringBuilder head = new StringBuilder(128);
        head.append("HTTP/1.1 ")
                .append(response.status())
                .append(' ')
                .append(reason(response.status()))
                .append("\r\nContent-Type: ")
                .append(response.contentType())
                .append("\r\n");
        if (chunked) {
            head.append("Transfer-Encoding: chunked\r\n");
        } else if (response.length() >= 0) {
            head.append("Content-Length: ").append(response.length()).append("\r\n");
        }
        boolean close = !keep;
        head.append(close ? "Connection: close\r\n\r\n" : "\r\n");
        write(ByteBuffer.wrap(head.toString().getBytes(StandardCharsets.ISO_8859_1)));
        // What follows comes when it comes; each write has its own time.
        allow(NEVER);
        if (!headOnly) {
            try (Out out = new Out(chunked)) {
                if (response.endless()) {
                    Thread.ofVirtual().name("control-watch").start(new Watch(Thread.currentThread()));
                }
                response.body().writeTo(out);
                out.finish();
            }
        }
    }

    /** Wakes the thread that writes an endless answer when its client has left; whatever else comes is not wanted. */
    private final class Watch implements Runnable {
        private final Thread writer;

        Watch(Thread writer) {
            this.writer = writer;
        }

        @Override
        public void run() {
            try {
                ByteBuffer unwanted = ByteBuffer.allocate(256);
                while (channel.read(unwanted.clear()) >= 0) {
                    // Read on: only the end matters.
                }
            } catch (IOException e) {
                // As good as the end of the stream.
            }
            writer.interrupt();
        }
    }

    /** Lets a client that is still sending read its error before the connection is gone. */
    private void linger() throws IOException {
        channel.shutdownOutput();
        allow(Math.min(limits.request().toNanos(), 1_000_000_000L));
        long taken = 0;
        while (taken < MAX_LINGER && fill()) {
            taken += in.remaining();
        }
    }

    private static String reason(int status) {
        return switch (status) {
            case 200 -> "OK";
            case 201 -> "Created";
            case 202 -> "Accepted";
            case 400 -> "Bad Request";
            case 404 -> "Not Found";
            case 405 -> "Method Not Allowed";
            case 409 -> "Conflict";
            case 413 -> "Content Too Large";
            case 422 -> "Unprocessable Content";
            case 431 -> "Request Header Fields Too Large";
            case 500 -> "Internal Server Error";
            case 501 -> "Not Implemented";
            case 503 -> "Service Unavailable";
            default -> "Status";
        };
    }

    /** The body on its way out, in chunks where its length is not known. */
    private final class Out extends OutputStream {
        private final boolean chunked;
        private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER);

        Out(boolean chunked) {
            this.chunked = chunked;
        }

        @Override
        public void write(int b) throws IOException {
            if (!buffer.hasRemaining()) {
                flush();
            }
            buffer.put((byte) b);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            int at = offset;
            int end = offset + length;
            while (at < end) {
                if (!buffer.hasRemaining()) {
                    flush();
                }
                int now = Math.min(buffer.remaining(), end - at);
                buffer.put(bytes, at, now);
                at += now;
            }
        }

        @Override
        public void flush() throws IOException {
            buffer.flip();
            if (buffer.hasRemaining()) {
                if (chunked) {
                    Connection.this.write(
                            ascii(Integer.toHexString(buffer.remaining()) + "\r\n"), buffer, ascii("\r\n"));
                } else {
                    Connection.this.write(buffer);
                }
                allow(NEVER);
            }
            buffer.clear();
        }

        void finish() throws IOException {
            flush();
            if (chunked) {
                Connection.this.write(ascii("0\r\n\r\n"));
            }
        }

        @Override
        public void close() {}
    }
}
