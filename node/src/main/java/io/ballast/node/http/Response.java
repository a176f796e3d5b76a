package io.ballast.node.http;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * An answer.
 *
 * @param length of the body in bytes; below 0 where it is not known before it is written
 * @param endless whether the body goes on until the client leaves; whoever writes it is interrupted then
 */
public record Response(int status, String contentType, long length, boolean endless, Body body) {

    /** Writes a body; may block, and may go on for as long as the client listens. */
    @FunctionalInterface
    public interface Body {
        /** Writes it whole; what was flushed has been sent. */
        void writeTo(OutputStream out) throws IOException, InterruptedException;
    }

    /** A text, in UTF-8. */
    public static Response text(int status, String contentType, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return new Response(status, contentType, bytes.length, false, out -> out.write(bytes));
    }

    /** A body of unknown length. */
    public static Response stream(int status, String contentType, Body body) {
        return new Response(status, contentType, -1, false, body);
    }

    /** A body that goes on until the client leaves. */
    public static Response endless(int status, String contentType, Body body) {
        return new Response(status, contentType, -1, true, body);
    }
}
