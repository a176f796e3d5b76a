package io.ballast.lab.load;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;

/**
 * One HTTP/1 answer as the generator needs it (RFC 9112). Only what the lab's own servers send is understood: a body
 * with a Content-Length, or one that ends with the connection.
 *
 * @param keepAlive whether the connection may carry another request
 */
record HttpAnswer(int status, String body, boolean keepAlive) {
    /** Far beyond the lab's pages; what is longer is a fault, not a page. */
    private static final int LIMIT = 1 << 20;

    /** The first word of a lab page, which names the server that sent it. */
    String server() {
        int end = 0;
        while (end < body.length() && body.charAt(end) != ':' && body.charAt(end) > ' ') {
            end++;
        }
        return body.substring(0, end);
    }

    /**
     * Reads one answer.
     *
     * @throws EOFException when the connection ended before the answer was whole
     * @throws IOException when what came is no HTTP answer, or from the stream
     */
    static HttpAnswer read(InputStream in) throws IOException {
        byte[] bytes = new byte[1024];
        int length = 0;
        int bodyStart = -1;
        int bodyLength = -1;
        String head = "";
        while (true) {
            if (bodyStart < 0) {
                bodyStart = endOfHead(bytes, length);
                if (bodyStart >= 0) {
                    head = new String(bytes, 0, bodyStart, StandardCharsets.ISO_8859_1);
                    bodyLength = contentLength(head);
                }
            }
            if (bodyStart >= 0 && bodyLength >= 0 && length - bodyStart >= bodyLength) {
                return answer(head, new String(bytes, bodyStart, bodyLength, StandardCharsets.UTF_8), true);
            }
            if (length == bytes.length) {
                if (length >= LIMIT) {
                    throw new IOException("an answer of more than " + LIMIT + " bytes");
                }
                bytes = Arrays.copyOf(bytes, length * 2);
            }
            int n = in.read(bytes, length, bytes.length - length);
            if (n < 0) {
                if (bodyStart >= 0 && bodyLength < 0) {
                    String body = new String(bytes, bodyStart, length - bodyStart, StandardCharsets.UTF_8);
                    return answer(head, body, false);
                }
                throw new EOFException("closed after " + length + " bytes of an answer");
            }
            length += n;
        }
    }

    private static HttpAnswer answer(String head, String body, boolean delimited) throws IOException {
        // "HTTP/1.1 200 OK"
        if (head.length() < 12 || !head.startsWith("HTTP/1.")) {
            throw new IOException(
                    "not an HTTP answer: " + head.lines().findFirst().orElse(""));
        }
        int status;
        try {
            status = Integer.parseInt(head, 9, 12, 10);
        } catch (NumberFormatException e) {
            throw new IOException(
                    "not an HTTP status: " + head.lines().findFirst().orElse(""), e);
        }
        boolean close = head.toLowerCase(Locale.ROOT).contains("\r\nconnection: close\r\n");
        return new HttpAnswer(status, body, delimited && !close);
    }

    private static int endOfHead(byte[] bytes, int length) {
        for (int i = 3; i < length; i++) {
            if (bytes[i] == '\n' && bytes[i - 1] == '\r' && bytes[i - 2] == '\n' && bytes[i - 3] == '\r') {
                return i + 1;
            }
        }
        return -1;
    }

    private static int contentLength(String head) throws IOException {
        String name = "\r\ncontent-length:";
        int at = head.toLowerCase(Locale.ROOT).indexOf(name);
        if (at < 0) {
            return -1;
        }
        int start = at + name.length();
        String value = head.substring(start, head.indexOf("\r\n", start)).strip();
        try {
            int length = Integer.parseInt(value);
            if (length >= 0 && length <= LIMIT) {
                return length;
            }
        } catch (NumberFormatException e) {
            // told below, as a length out of range is
        }
        throw new IOException("Content-Length: " + value);
    }
}
