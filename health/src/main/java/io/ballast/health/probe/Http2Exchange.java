package io.ballast.health.probe;

import io.ballast.health.Deadline;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersDecoder;
import io.netty.handler.codec.http2.DefaultHttp2HeadersEncoder;
import io.netty.handler.codec.http2.Http2Error;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.IOException;
import java.io.OutputStream;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One request and its answer on a connection of HTTP/2 (RFC 9113), as a client that asks once and leaves. Flow control
 * needs no bookkeeping: both windows are opened at the start for as much as is ever read.
 */
final class Http2Exchange {

    private static final byte[] PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(StandardCharsets.US_ASCII);

    private static final int DATA = 0;
    private static final int HEADERS = 1;
    private static final int RST_STREAM = 3;
    private static final int SETTINGS = 4;
    private static final int PUSH_PROMISE = 5;
    private static final int PING = 6;
    private static final int GOAWAY = 7;
    private static final int WINDOW_UPDATE = 8;
    private static final int CONTINUATION = 9;

    private static final int END_STREAM = 0x1;
    private static final int ACK = 0x1;
    private static final int END_HEADERS = 0x4;
    private static final int PADDED = 0x8;
    private static final int PRIORITY = 0x20;

    private static final int SETTINGS_ENABLE_PUSH = 2;
    private static final int SETTINGS_INITIAL_WINDOW_SIZE = 4;

    /** What a sender may put into one frame as long as nothing else was agreed. */
    private static final int MAX_FRAME = 16384;

    /** More frames than any answer within the other bounds needs; a server that sends more plays for time. */
    private static final int MAX_FRAMES = 10_000;

    private static final int WINDOW = 2 * HttpAnswer.MAX_BODY;
    private static final int DEFAULT_WINDOW = 65_535;
    private static final int STREAM = 1;

    private final BoundedInput in;
    private final OutputStream out;
    private final Deadline deadline;
    private final DefaultHttp2HeadersDecoder decoder = new DefaultHttp2HeadersDecoder(true, HttpAnswer.MAX_HEAD);

    private int status;
    private @Nullable Map<String, String> headers;
    private Map<String, String> trailers = Map.of();
    private final HttpAnswer.Body body = new HttpAnswer.Body();

    Http2Exchange(BoundedInput in, OutputStream out, Deadline deadline) {
        this.in = in;
        this.out = out;
        this.deadline = deadline;
    }

    /** Sends the connection preface and the request, in one write. */
    void request(String method, boolean tls, String authority, String path, Map<String, String> fields, byte[] content)
            throws IOException, ProbeFailure {
        Http2Headers block = new DefaultHttp2Headers()
                .method(method)
                .scheme(tls ? "https" : "http")
                .authority(authority)
                .path(path);
        fields.forEach(block::add);
        ByteBuf encoded = Unpooled.buffer(256);
        try {
            new DefaultHttp2HeadersEncoder().encodeHeaders(STREAM, block, encoded);
        } catch (Http2Exception e) {
            throw new ProbeFailure("the request cannot be sent by HTTP/2: " + e.getMessage());
        }
        byte[] head = ByteBufUtil.getBytes(encoded);
        if (head.length > MAX_FRAME || content.length > MAX_FRAME) {
            throw new ProbeFailure("the request is too long for HTTP/2: " + MAX_FRAME + " bytes are allowed");
        }
        ByteBuf all = Unpooled.buffer(512).writeBytes(PREFACE);
        frame(all, SETTINGS, 0, 0, 12)
                .writeShort(SETTINGS_ENABLE_PUSH)
                .writeInt(0)
                .writeShort(SETTINGS_INITIAL_WINDOW_SIZE)
                .writeInt(WINDOW);
        frame(all, WINDOW_UPDATE, 0, 0, 4).writeInt(WINDOW - DEFAULT_WINDOW);
        frame(all, HEADERS, END_HEADERS | (content.length == 0 ? END_STREAM : 0), STREAM, head.length)
                .writeBytes(head);
        if (content.length > 0) {
            frame(all, DATA, END_STREAM, STREAM, content.length).writeBytes(content);
        }
        out.write(ByteBufUtil.getBytes(all));
    }

    private static ByteBuf frame(ByteBuf to, int type, int flags, int stream, int length) {
        return to.writeMedium(length).writeByte(type).writeByte(flags).writeInt(stream);
    }

    /** Reads frames until the answer is complete, or its body too long. */
    HttpAnswer answer() throws IOException, ProbeFailure {
        boolean ended = false;
        for (int count = 0; !ended && !body.truncated(); count++) {
            if (count == MAX_FRAMES) {
                throw new ProbeFailure("the server sent " + MAX_FRAMES + " frames without end of the answer");
            }
            if (deadline.passed()) {
                throw new SocketTimeoutException("no end of the answer");
            }
            byte[] header = in.exactly(9);
            int length = ((header[0] & 0xff) << 16) | ((header[1] & 0xff) << 8) | (header[2] & 0xff);
            int type = header[3] & 0xff;
            int flags = header[4] & 0xff;
            int stream = ByteBuffer.wrap(header).getInt(5) & 0x7fffffff;
            if (count == 0 && header[0] == 'H' && header[1] == 'T' && header[2] == 'T' && header[3] == 'P') {
                throw new ProbeFailure("the server answered in HTTP/1, not in HTTP/2");
            }
            if (count == 0 && type != SETTINGS) {
                throw new ProbeFailure("the server does not speak HTTP/2 here: it did not begin with SETTINGS");
            }
            if (length > MAX_FRAME) {
                throw new ProbeFailure(
                        "the server sent a frame of " + length + " bytes, " + MAX_FRAME + " are allowed");
            }
            byte[] payload = in.exactly(length);
            ended = switch (type) {
                case DATA -> stream == STREAM && data(payload, flags);
                case HEADERS -> stream == STREAM && headers(payload, flags);
                case SETTINGS -> {
                    if ((flags & ACK) == 0) {
                        reply(SETTINGS, new byte[0]);
                    }
                    yield false;
                }
                case PING -> {
                    if ((flags & ACK) == 0) {
                        reply(PING, payload);
                    }
                    yield false;
                }
                case RST_STREAM -> {
                    if (stream == STREAM) {
                        throw new ProbeFailure("the server refused the request: " + error(payload, 0));
                    }
                    yield false;
                }
                case GOAWAY -> {
                    goAway(payload);
                    yield false;
                }
                case PUSH_PROMISE, CONTINUATION ->
                    throw new ProbeFailure("the server sent a frame out of place, of type " + type);
                default -> false; // RFC 9113 section 4.1: unknown types are ignored
            };
        }
        if (headers == null) {
            throw new ProbeFailure("the server ended the answer before its status");
        }
        return new HttpAnswer(status, headers, body, trailers);
    }

    private void reply(int type, byte[] payload) throws IOException {
        ByteBuf all = Unpooled.buffer(9 + payload.length);
        frame(all, type, ACK, 0, payload.length).writeBytes(payload);
        out.write(ByteBufUtil.getBytes(all));
    }

    private boolean data(byte[] payload, int flags) throws ProbeFailure {
        if (headers == null) {
            throw new ProbeFailure("the server sent the body before its status");
        }
        int from = (flags & PADDED) != 0 ? 1 : 0;
        int to = payload.length - padding(payload, flags);
        if (from > to) {
            throw new ProbeFailure("the server sent a frame with more padding than content");
        }
        body.add(payload, from, to - from);
        return (flags & END_STREAM) != 0;
    }

    private static int padding(byte[] payload, int flags) {
        if ((flags & PADDED) == 0) {
            return 0;
        }
        return payload.length == 0 ? 1 : payload[0] & 0xff;
    }

    private boolean headers(byte[] first, int flags) throws IOException, ProbeFailure {
        int from = ((flags & PADDED) != 0 ? 1 : 0) + ((flags & PRIORITY) != 0 ? 5 : 0);
        int to = first.length - padding(first, flags);
        if (from > to) {
            throw new ProbeFailure("the server sent a frame with more padding than content");
        }
        ByteBuf block = Unpooled.buffer(to - from).writeBytes(first, from, to - from);
        boolean complete = (flags & END_HEADERS) != 0;
        while (!complete) {
            byte[] header = in.exactly(9);
            int length = ((header[0] & 0xff) << 16) | ((header[1] & 0xff) << 8) | (header[2] & 0xff);
            if (header[3] != CONTINUATION || (ByteBuffer.wrap(header).getInt(5) & 0x7fffffff) != STREAM) {
                throw new ProbeFailure("the server broke off the answer's headers");
            }
            // A frame without content would cost the server nothing, and could be sent without end.
            if (length == 0 || length > MAX_FRAME || block.readableBytes() + length > HttpAnswer.MAX_HEAD) {
                throw new ProbeFailure("the head of the answer is longer than " + HttpAnswer.MAX_HEAD + " bytes");
            }
            block.writeBytes(in.exactly(length));
            complete = (header[4] & END_HEADERS) != 0;
        }
        Map<String, String> fields = new HashMap<>();
        try {
            decoder.decodeHeaders(STREAM, block)
                    .forEach(field -> fields.put(
                            field.getKey().toString(), field.getValue().toString()));
        } catch (Http2Exception | IllegalArgumentException e) {
            throw new ProbeFailure("the answer's headers are malformed: " + e.getMessage());
        }
        take(fields);
        return (flags & END_STREAM) != 0;
    }

    private void take(Map<String, String> fields) throws ProbeFailure {
        if (headers != null) {
            trailers = fields;
            return;
        }
        String text = fields.getOrDefault(":status", "");
        if (text.length() != 3 || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw new ProbeFailure("the answer's status is \"" + text + "\"");
        }
        status = Integer.parseInt(text);
        if (status >= 200) {
            headers = fields;
        }
    }

    private static void goAway(byte[] payload) throws ProbeFailure {
        if (payload.length < 8) {
            throw new ProbeFailure("the server sent a malformed GOAWAY");
        }
        int last = ByteBuffer.wrap(payload).getInt() & 0x7fffffff;
        if (last < STREAM || ByteBuffer.wrap(payload).getInt(4) != 0) {
            String text = new String(payload, 8, Math.min(payload.length - 8, 100), StandardCharsets.UTF_8);
            throw new ProbeFailure("the server ended the connection: " + error(payload, 4)
                    + (text.isEmpty() ? "" : " (" + text + ")"));
        }
    }

    private static String error(byte[] payload, int offset) {
        if (payload.length < offset + 4) {
            return "without a reason";
        }
        int code = ByteBuffer.wrap(payload).getInt(offset);
        Http2Error known = Http2Error.valueOf(code);
        return known == null ? "error " + Integer.toUnsignedString(code) : known.name();
    }
}
