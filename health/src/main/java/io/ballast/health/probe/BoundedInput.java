package io.ballast.health.probe;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/** What a server sends, read in pieces whose size the reader bounds and not the server. */
final class BoundedInput {

    private static final int SMALL = 1024;
    private static final int LARGE = 8192;

    private final InputStream in;
    /** Small at first: most answers are, and thousands of probes may wait for one. */
    private byte[] buffer = new byte[SMALL];

    private int position;
    private int end;
    private long total;

    BoundedInput(InputStream in) {
        this.in = in;
    }

    /** Bytes that were received and not read yet. */
    int buffered() {
        return end - position;
    }

    /** Bytes received in all. */
    long total() {
        return total;
    }

    private boolean fill() throws IOException {
        if (end == SMALL && buffer.length == SMALL) {
            buffer = new byte[LARGE];
        }
        int count = in.read(buffer, 0, buffer.length);
        position = 0;
        end = Math.max(count, 0);
        total += end;
        return count > 0;
    }

    /** The next byte; -1 at the end. */
    int read() throws IOException {
        if (position == end && !fill()) {
            return -1;
        }
        return buffer[position++] & 0xff;
    }

    /** Reads what is there, at least one byte; -1 at the end. */
    int read(byte[] to, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        if (position == end && !fill()) {
            return -1;
        }
        int count = Math.min(length, end - position);
        System.arraycopy(buffer, position, to, offset, count);
        position += count;
        return count;
    }

    /** Reads exactly {@code length} bytes; the caller bounds the length first. */
    byte[] exactly(int length) throws IOException {
        byte[] bytes = new byte[length];
        int done = 0;
        while (done < length) {
            int count = read(bytes, done, length - done);
            if (count < 0) {
                throw new EOFException();
            }
            done += count;
        }
        return bytes;
    }

    /** The next byte, which must come. */
    int need() throws IOException {
        int value = read();
        if (value < 0) {
            throw new EOFException();
        }
        return value;
    }

    /**
     * Reads a line that ends with LF or CR LF.
     *
     * @return the line without its end, each byte as one character; null at the end of input
     */
    @Nullable
    String line(int max) throws IOException, ProbeFailure {
        byte[] line = new byte[128];
        int length = 0;
        while (true) {
            int next = read();
            if (next < 0) {
                if (length == 0) {
                    return null;
                }
                throw new EOFException();
            }
            if (next == '\n') {
                int text = length > 0 && line[length - 1] == '\r' ? length - 1 : length;
                return new String(line, 0, text, StandardCharsets.ISO_8859_1);
            }
            if (length == max) {
                throw new ProbeFailure("the server sent a line longer than " + max + " bytes");
            }
            if (length == line.length) {
                line = java.util.Arrays.copyOf(line, Math.min(max, line.length * 2));
            }
            line[length++] = (byte) next;
        }
    }

    /** A line that must come. */
    String needLine(int max) throws IOException, ProbeFailure {
        String line = line(max);
        if (line == null) {
            throw new EOFException();
        }
        return line;
    }
}
