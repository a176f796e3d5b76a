package io.ballast.lab.drill;

import io.ballast.lab.load.LoadResult;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/**
 * What was seen of one scenario.
 *
 * @param load what the client saw
 * @param injected when the fault began
 * @param healed when it ended
 * @param left from the beginning until the server (the last of them, where several) was taken out; empty where none was
 * @param back from the end until it (the first of them) was let in again
 * @param handover what became of the address, where several nodes share it and the fault was about that; then the server
 *     is the node that had it, which was out when another was master, and back when one alone was again
 */
public record Observation(
        LoadResult load,
        Instant injected,
        Instant healed,
        Optional<Duration> left,
        Optional<Duration> back,
        Optional<Handover> handover) {
    /** Of a fault that moves no address. */
    Observation(LoadResult load, Instant injected, Instant healed, Optional<Duration> left, Optional<Duration> back) {
        this(load, injected, healed, left, back, Optional.empty());
    }
}
