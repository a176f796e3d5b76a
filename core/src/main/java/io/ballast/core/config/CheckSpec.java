package io.ballast.core.config;

import java.net.InetAddress;
import java.time.Duration;
import java.util.Optional;

/**
 * One health check: when it runs, how its results count, and what it asks.
 *
 * @param name for listings; where the file gives none, the kind of its probe, numbered where one kind repeats
 * @param interval from the start of one probe to the start of the next
 * @param timeout a probe that has no answer by then has failed; it may be longer than the interval, and then a due
 *     probe waits for the one under way
 * @param rise successes in a row that bring a server up
 * @param fall failures in a row that take it down
 * @param initial what is assumed before the first result
 * @param jitter part of the interval, 0 to 1, by which a start may be late, so that checks do not run in step
 * @param backoff the most by which the interval grows while a server is down (doubling each time); equal to the
 *     interval where it does not grow
 * @param source the address to probe from
 * @param bindInterface the interface to probe through (SO_BINDTODEVICE; needs CAP_NET_RAW)
 * @param host asked in place of the server's own address; its port, where 0, is the server's
 * @param port asked in place of the server's port; 0 means the server's
 */
public record CheckSpec(
        String name,
        Duration interval,
        Duration timeout,
        int rise,
        int fall,
        InitialState initial,
        double jitter,
        Duration backoff,
        Optional<InetAddress> source,
        Optional<String> bindInterface,
        Optional<HostPort> host,
        int port,
        ProbeSpec probe) {

    /** What is assumed of a server before its first result. */
    public enum InitialState {
        /** It is taken as up until it fails {@code fall} times. */
        UP,
        /** It is taken as down until its first success; one is enough then, whatever {@code rise} says. */
        DOWN
    }
}
