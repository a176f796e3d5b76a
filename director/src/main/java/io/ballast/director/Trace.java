package io.ballast.director;

import com.google.gson.JsonObject;
import java.util.function.Consumer;

/**
 * A look at the packets of a service while they are dealt with, which costs those packets something until it is closed.
 *
 * <p>One thread reads; {@link #close} is called on the control loop.
 */
public interface Trace extends AutoCloseable {
    /**
     * Hands over what has been seen since the last time, without waiting.
     *
     * @param packet takes a packet, in the members of docs/control-api.md
     * @return how many
     */
    int read(Consumer<JsonObject> packet);

    /** Packets that should have been told of and were not, since nobody read in time. */
    long lost();

    /** Packets of the service that came since it began. */
    long seen();

    /** Whether there is nothing more to come: as many packets as were wanted were seen, or the engine is gone. */
    boolean isOver();

    /** Whether the engine is gone, so that nothing is known of packets since. */
    boolean isAbandoned();

    @Override
    void close();
}
