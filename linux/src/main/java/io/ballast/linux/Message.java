package io.ballast.linux;

import java.nio.charset.StandardCharsets;
import java.util.List;

/** One message of a {@link MessageChannel}. */
public final class Message implements AutoCloseable {
    private final byte[] payload;
    private final List<Descriptor> descriptors;

    Message(byte[] payload, List<Descriptor> descriptors) {
        this.payload = payload;
        this.descriptors = List.copyOf(descriptors);
    }

    /** The bytes as they were sent; not a copy. */
    public byte[] payload() {
        return payload;
    }

    /** The payload as UTF-8. */
    public String text() {
        return new String(payload, StandardCharsets.UTF_8);
    }

    /** What came with the bytes, in order, owned by the receiver: release each, or {@link #close()} the message. */
    public List<Descriptor> descriptors() {
        return descriptors;
    }

    /** Closes the descriptors that nobody has released. */
    @Override
    public void close() {
        descriptors.forEach(Descriptor::close);
    }
}
