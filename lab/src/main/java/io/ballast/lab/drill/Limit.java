package io.ballast.lab.drill;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.lab.load.Outcome;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** One thing that a scenario may not cost. */
interface Limit {
    /** For the scheduling of processes on a busy machine; a promise is in the check's parameters, not in this. */
    Duration SLACK = Duration.ofMillis(500);

    /** The journal says that a server is out before the kernel's tables do, which is a promise of its own (50 ms). */
    Duration TOLD = Duration.ofMillis(100);

    /** Requests under way when a process dies were due in so many slices of the timeline at most. */
    Duration UNDER_WAY = Duration.ofMillis(200);

    /** A dead daemon's address has left the network by then, and half of it for who notices. */
    Duration WITHDRAWN = Duration.ofMillis(150);

    /** A client sends a packet that gets no answer again after a second. */
    Duration NO_PACKET_TWICE = Duration.ofMillis(900);

    /** By how much it was exceeded, as a sentence; empty where it was kept. */
    Optional<String> exceeded(Observation seen);

    /**
     * What this service promises in this scenario: a dead server is out after {@code fall x (interval + timeout)}; until
     * then a connection that it does not accept goes to another one, as often as connect-retry says; and what it had
     * accepted and not begun to answer is asked again where replay allows it. An engine that forwards packets asks nobody
     * again: there the dead server's share of requests fails until it is out. A new node process, a new description and
     * a new worker cost nobody a connection, save those under way in a worker that was killed.
     */
    static List<Limit> of(Scenario scenario, ServiceSpec service) {
        Duration out = service.servers().stream()
                .flatMap(s -> (s.checks().isEmpty() ? service.checks() : s.checks()).stream())
                .map(Limit::timeToLeave)
                .min(Duration::compareTo)
                .orElse(Duration.ZERO)
                .plus(SLACK);
        Duration known = service.engine() == EngineKind.USERSPACE ? Duration.ZERO : TOLD;
        boolean retry = asksAgain(service);
        boolean replay = retry && service.connectRetry().replayBytes() > 0;
        Limit unanswered = replay ? failures(0) : downtime(retry ? UNDER_WAY : out);
        return switch (scenario) {
            case STOPPED, KILLED -> List.of(unanswered, left(out), noneAfterLeft(known), back());
            case FROZEN, ERROR, SLOW, LINK_CUT -> List.of(downtime(out), left(out), noneAfterLeft(known), back());
            case FLAPPING -> replay ? List.of(failures(0)) : List.of();
            case ALL_DOWN -> List.of(left(out), back(), noneAfterBack());
            case ALL_DOWN_SORRY -> List.of(left(out), noneAfterLeft(known), sorryShown(), back(), noneAfterBack());
            case RELOAD, APPLY, RESTART, REPLACE, NODE_KILLED -> List.of(failures(0));
            case WORKER_KILLED -> List.of(refused(0), downtime(UNDER_WAY), gap(Duration.ofSeconds(1)));
            default -> throw new IllegalArgumentException(scenario + " is about an address that nodes share");
        };
    }

    /**
     * What nodes that share an address promise: one that leaves in good order costs nothing, and neither does the way
     * back; of one that dies or is cut off, another has the address when three advertisements and a little more have
     * failed to come, and the dead one is silent before; where both had it, one alone has it as soon as they hear each
     * other. That a master hears nobody, nobody can see from its advertisements. Advertisements that are lost may make
     * another node master for a moment, which costs no request; foreign ones move nothing, and are told of; and who
     * was misled about the address learns it when it is announced again.
     */
    static List<Limit> of(Scenario scenario, VirtualRouterSpec router) {
        Duration detection = detection(router).plus(SLACK);
        Duration heard = router.interval().multipliedBy(2).plus(SLACK);
        return switch (scenario) {
            case MASTER_STOPPED -> List.of(failures(0), slowest(NO_PACKET_TWICE), left(detection), alone());
            case MASTER_KILLED, MASTER_REMOVED, MASTER_FROZEN ->
                List.of(gap(detection), left(detection), silent(WITHDRAWN), noneAfterLeft(TOLD), alone());
            case MASTER_LINK_DOWN, MASTER_CABLE_CUT ->
                List.of(gap(detection), left(detection), noneAfterLeft(TOLD), alone());
            case MASTER_MUTE -> List.of(gap(detection), left(detection), noneAfterLeft(TOLD), settled(heard));
            case MASTER_DEAF -> List.of(settled(heard), noneAfterBack());
            case DIRECTORS_APART -> List.of(gap(SLACK), left(detection), settled(heard), noneAfterBack());
            case MASTER_PAUSED -> List.of(gap(detection), alone(), noneAfterBack());
            case DIRECTORS_RESTARTED -> List.of(alone(), noneAfterBack());
            case ADVERTS_LOST_10, ADVERTS_LOST_30 -> List.of(failures(0), gap(SLACK), settled(heard), noneAfterBack());
            case ADVERTS_DOUBLED, ADVERTS_REORDERED -> List.of(failures(0), unmoved(), alone());
            case FOREIGN_ROUTER -> List.of(failures(0), gap(SLACK), unmoved(), noted(Moving.OTHERS), alone());
            case CLIENT_MISLED ->
                List.of(
                        left(detection),
                        gap(Moving.MISLED_AFTER.plus(router.announceAgain()).plus(detection)),
                        alone(),
                        noneAfterBack());
            case ROUTER_CHANGED ->
                List.of(failures(0), slowest(NO_PACKET_TWICE), left(Moving.CHANGE.plus(detection)), alone());
            // The other one has the address meanwhile, and knows nothing of the connections under way.
            case NODE_KILLED -> List.of(gap(detection), downtime(detection));
            default -> throw new IllegalArgumentException(scenario + " moves no address");
        };
    }

    /** Until a backup takes over from a master that is silent: three intervals and the skew (RFC 9568 section 6.1). */
    static Duration detection(VirtualRouterSpec router) {
        int lowest = router.nodes().values().stream()
                .mapToInt(VirtualRouterSpec.Member::priority)
                .min()
                .orElse(1);
        Duration unit = router.version() == 2 ? Duration.ofSeconds(1) : router.interval();
        return router.interval()
                .multipliedBy(3)
                .plus(unit.multipliedBy(256 - lowest).dividedBy(256));
    }

    /** Whether a connection that a server does not accept goes to another one; of a datagram nobody knows. */
    static boolean asksAgain(ServiceSpec service) {
        return service.engine() == EngineKind.USERSPACE
                && !Drill.udp(service)
                && service.connectRetry().attempts() > 0;
    }

    /** What is to be known about a service's limits; empty for most. */
    static Optional<String> note(ServiceSpec service) {
        return when(
                service.engine() != EngineKind.USERSPACE,
                "The engine " + service.engine().yamlName()
                        + " sends packets on and asks nobody again: until the checks"
                        + " have a dead server out, its share of the requests fails, and its limit is the time of that.");
    }

    private static Duration timeToLeave(CheckSpec check) {
        return check.interval().plus(check.timeout()).multipliedBy(check.fall());
    }

    /** Requests that may fail. */
    static Limit failures(long most) {
        return seen -> when(
                seen.load().failures() > most, seen.load().failures() + " requests failed, at most " + most + " may");
    }

    /** Connections that may be refused. */
    static Limit refused(long most) {
        return seen -> {
            long refused = seen.load().count(Outcome.REFUSED);
            return when(refused > most, refused + " connections were refused, at most " + most + " may be");
        };
    }

    /** Time in which requests may fail or get only the sorry page. */
    static Limit downtime(Duration most) {
        return seen -> when(
                seen.load().downtime().compareTo(most) > 0,
                "requests failed for " + millis(seen.load().downtime()) + ", at most for " + millis(most));
    }

    /** The longest time without a right answer. */
    static Limit gap(Duration most) {
        return seen -> when(
                seen.load().longestGap().compareTo(most) > 0,
                "no answer for " + millis(seen.load().longestGap()) + ", at most for " + millis(most));
    }

    /** The slowest answer. */
    static Limit slowest(Duration most) {
        return seen -> when(
                seen.load().max().compareTo(most) > 0,
                "an answer took " + millis(seen.load().max()) + ", at most " + millis(most)
                        + ": a packet was lost on its way");
    }

    /** The time until the one who had the address does not answer for it any more. */
    static Limit silent(Duration most) {
        return seen -> seen.handover()
                .flatMap(Handover::silent)
                .filter(silent -> silent.compareTo(most) > 0)
                .map(silent -> "the one before answered for the address for " + millis(silent) + ", at most for "
                        + millis(most));
    }

    /** In the end one node alone has the address. */
    static Limit alone() {
        return seen -> when(
                seen.handover().flatMap(Handover::settled).isEmpty(), "in the end not one node alone had the address");
    }

    /** No node changes its role while the fault lasts. */
    static Limit unmoved() {
        return seen -> seen.handover()
                .filter(handover -> !handover.moves().isEmpty())
                .map(handover -> "nodes changed their roles: " + String.join("; ", handover.moves()));
    }

    /** A node has told something in its journal that contains these words. */
    static Limit noted(String words) {
        return seen -> when(
                seen.handover().stream()
                        .flatMap(handover -> handover.story().stream())
                        .noneMatch(t -> t.contains(words)),
                "no journal says that somebody \"" + words + "\"");
    }

    /** So soon after the fault one node alone has the address, for good. */
    static Limit settled(Duration most) {
        return seen -> seen.handover()
                .flatMap(Handover::settled)
                .map(settled -> when(
                        settled.compareTo(most) > 0,
                        "one node alone had the address after " + millis(settled) + ", at most after " + millis(most)))
                .orElse(Optional.of("in the end not one node alone had the address"));
    }

    /** The time until the server is taken out. */
    static Limit left(Duration most) {
        return seen -> seen.left()
                .map(left -> when(
                        left.compareTo(most) > 0,
                        (seen.handover().isPresent() ? "another node was master" : "the server was out") + " after "
                                + millis(left) + ", at most after " + millis(most)))
                .orElse(Optional.of(
                        (seen.handover().isPresent() ? "no other node was master" : "the server was not taken out")
                                + ", at most after " + millis(most)));
    }

    /** The server is let in again. */
    static Limit back() {
        return seen -> when(seen.left().isPresent() && seen.back().isEmpty(), "the server was not let in again");
    }

    /**
     * No request fails that was due after the server was out.
     *
     * @param known until who sends packets on knows that it is
     */
    static Limit noneAfterLeft(Duration known) {
        return seen -> {
            long failures = seen.left()
                    .map(l -> seen.load().failuresSince(seen.injected().plus(l).plus(known)))
                    .orElse(0L);
            return when(
                    failures > 0,
                    failures + " requests failed that were due after "
                            + (seen.handover().isPresent() ? "another node was master" : "the server was out"));
        };
    }

    /** No request fails that was due after the server had come back. */
    static Limit noneAfterBack() {
        return seen -> {
            long failures = seen.back()
                    .map(b -> seen.load().failuresSince(seen.healed().plus(b)))
                    .orElse(0L);
            return when(
                    failures > 0,
                    failures + " requests failed that were due after "
                            + (seen.handover().isPresent() ? "one node alone was master" : "the servers were back"));
        };
    }

    /** The sorry page was seen. */
    static Limit sorryShown() {
        return seen -> when(seen.load().count(Outcome.SORRY) == 0, "the sorry page was never seen");
    }

    private static Optional<String> when(boolean exceeded, String sentence) {
        return exceeded ? Optional.of(sentence) : Optional.empty();
    }

    private static String millis(Duration duration) {
        return duration.toMillis() + " ms";
    }
}
