package io.ballast.takeover.group;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * What goes with addresses on one node, such as a mount and the program that needs it: resources that are started in their
 * order, and stopped in reverse.
 *
 * <p>It is {@link #wanted} where the node is elected, {@link #permitted} where no other node can have it, and then brought up
 * resource by resource; {@link #given}, it is brought down. Each step is a program of the operator's that may fail or hang
 * (who runs it ends it in time), and one step is under way at a time. From what a node knows of its resources follows what
 * comes next:
 *
 * <ul>
 *   <li>At the beginning nothing is known, so all are asked. What runs from before is adopted where the node is elected, and
 *       stopped where it turns out that another is.
 *   <li>A start that fails: what was started is stopped, and the node is at fault ({@link Phase#FAILED}) for a while, which
 *       doubles each time; then it tries again where no other node would ({@link #comesLast}).
 *   <li>A resource that is found not to run is started again, with those behind it, a few times; then it is as a start that
 *       fails.
 *   <li>A stop that fails: nobody knows whether the resource is free ({@link Phase#STUCK}). Nothing happens any more until the
 *       operator says so ({@link #resume}), and others are never told that it is free.
 * </ul>
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
public final class ResourceGroup {
    /** What is done with a resource. */
    public enum Action {
        START,
        STOP,
        STATUS
    }

    /** How that ended. */
    public enum Outcome {
        /** It was done; asked for its status, the resource runs. */
        DONE,
        /** Asked for its status, the resource does not run, and needs no stop. */
        NOT_RUNNING,
        /** It was not done, or not in time. */
        FAILED
    }

    /** How the whole stands. */
    public enum Phase {
        /** It is being found out what runs. */
        PROBING,
        /** Something runs from before, and nobody has said yet whether it should. */
        FOUND,
        /** Nothing of it runs. */
        STOPPED,
        /** It is wanted, and another node may have it. */
        WAITING,
        /** It is brought up. */
        STARTING,
        /** All of it runs. */
        STARTED,
        /** It is brought down. */
        STOPPING,
        /** It could not be brought up, or did not stay; nothing of it runs. */
        FAILED,
        /** Something could not be stopped, and may run for ever. */
        STUCK
    }

    /** Where decisions go. */
    public interface Output {
        /**
         * To be done, and {@link ResourceGroup#ended} told of with the same number; the end of one that is not waited for any
         * more is of no interest.
         */
        void run(long number, int resource, Action action);

        /** Something worth the journal. */
        void note(boolean warning, String message);
    }

    /**
     * A resource.
     *
     * @param name for people: {@code mount /srv}
     * @param interval after which it is asked whether it runs, in nanoseconds
     */
    public record Resource(String name, long interval) {}

    private enum Is {
        UNKNOWN,
        RUNS,
        /** It may run, or half so: it has to be stopped before it is started. */
        DOUBTFUL,
        STOPPED
    }

    /** After the first failure; twice that after the next. */
    static final long FIRST_RETRY = 10_000_000_000L;

    static final long LAST_RETRY = 300_000_000_000L;

    /** What ran for so long has not failed. */
    static final long GOOD = 600_000_000_000L;

    private static final long NEVER = Long.MAX_VALUE;

    private final List<Resource> resources;
    private final int restarts;
    private final Output output;
    private final Is[] is;
    private final long[] ask;

    private boolean wanted;
    private boolean decided;
    private boolean permitted;
    private String awaits = "";

    private long numbers;
    /** The step that is under way, and has to end before the next; 0 where none is. */
    private long step;
    /** The question that is under way; 0 where none is. */
    private long question;

    private int at;
    private Action action = Action.STATUS;

    private int restarted;
    private int failures;
    private String failure = "";
    private long retry = NEVER;
    private String stuck = "";
    private boolean last;
    private long startedAt = NEVER;

    /**
     * A group of which nothing is known; {@link #tick} begins.
     *
     * @param resources in the order in which they are started, at least one
     * @param restarts how often what is found not to run is started again before the node is given up
     */
    public ResourceGroup(List<Resource> resources, int restarts, Output output) {
        this.resources = List.copyOf(resources);
        this.restarts = restarts;
        this.output = output;
        this.is = new Is[resources.size()];
        this.ask = new long[resources.size()];
        Arrays.fill(is, Is.UNKNOWN);
    }

    // ---- What is asked of it

    /** This node is elected. */
    public void wanted(long now) {
        wanted = true;
        decided = true;
        permitted = false;
        awaits = "";
        go(now);
    }

    /** This node is not, or not any more. */
    public void given(long now) {
        wanted = false;
        decided = true;
        permitted = false;
        go(now);
    }

    /** No other node can have it: it may be brought up. Holds until it is {@link #given}. */
    public void permitted(long now) {
        if (wanted && !permitted) {
            permitted = true;
            go(now);
        }
    }

    /** What has to be before that, for people. */
    public void awaits(String what) {
        awaits = what;
    }

    /** Whether it is wanted, and may not be brought up yet. */
    public boolean asksPermission() {
        return wanted && !permitted && failure.isEmpty() && stuck.isEmpty();
    }

    /** The operator has seen to what was wrong: as if it had never failed. */
    public void resume(long now) {
        failures = 0;
        restarted = 0;
        failure = "";
        retry = NEVER;
        last = false;
        if (!stuck.isEmpty()) {
            stuck = "";
            Arrays.fill(is, Is.UNKNOWN);
        }
        go(now);
    }

    /** A step has ended. */
    public void ended(long number, Outcome outcome, String how, long now) {
        if (number == step) {
            step = 0;
            stepped(outcome, how, now);
        } else if (number == question) {
            question = 0;
            answered(outcome, how, now);
        }
        go(now);
    }

    /** When {@link #tick} has something to do. */
    public long due() {
        long due = phase() == Phase.FAILED ? retry : NEVER;
        if (question == 0 && isUp()) {
            for (long each : ask) {
                due = Math.min(due, each);
            }
        }
        return due;
    }

    /** Does what has become due. */
    public void tick(long now) {
        if (phase() == Phase.FAILED && now >= retry) {
            failure = "";
            retry = NEVER;
            last = true;
        }
        if (startedAt != NEVER && now - startedAt >= GOOD && isUp()) {
            failures = 0;
            restarted = 0;
            startedAt = NEVER;
        }
        go(now);
    }

    // ---- What ended

    private void stepped(Outcome outcome, String how, long now) {
        switch (action) {
            case STATUS ->
                is[at] = switch (outcome) {
                    case DONE -> Is.RUNS;
                    case NOT_RUNNING -> Is.STOPPED;
                    case FAILED -> Is.DOUBTFUL;
                };
            case START -> {
                if (outcome == Outcome.DONE) {
                    is[at] = Is.RUNS;
                    ask[at] = now + resources.get(at).interval();
                } else {
                    fail(name(at) + " was not started: " + how, now);
                }
            }
            case STOP -> {
                if (outcome == Outcome.FAILED) {
                    stuck = name(at) + " was not stopped: " + how;
                    output.note(
                            true,
                            stuck
                                    + "; it may still run here, so no other node is told that it is free. See to it that it"
                                    + " does not, and then: ballast takeover resume");
                } else {
                    is[at] = Is.STOPPED;
                }
            }
        }
    }

    private void answered(Outcome outcome, String how, long now) {
        if (!isUp()) {
            return;
        }
        ask[at] = now + resources.get(at).interval();
        if (outcome == Outcome.DONE) {
            return;
        }
        is[at] = Is.DOUBTFUL;
        String what = name(at) + (outcome == Outcome.NOT_RUNNING ? " does not run any more" : " is not well: " + how);
        if (restarted < restarts) {
            restarted++;
            startedAt = NEVER;
            output.note(true, what + "; it is started again, for the " + restarted + ". time of " + restarts);
        } else {
            fail(what, now);
        }
    }

    private void fail(String what, long now) {
        failure = what;
        failures++;
        retry = now + Math.min(LAST_RETRY, FIRST_RETRY << Math.min(failures - 1, 10));
        startedAt = NEVER;
        output.note(true, what + "; what was started is stopped, for another node to try");
    }

    // ---- What comes next

    private void go(long now) {
        if (step != 0 || !stuck.isEmpty()) {
            return;
        }
        int unknown = find(Is.UNKNOWN);
        if (unknown >= 0) {
            step(unknown, Action.STATUS);
        } else if (wanted && failure.isEmpty()) {
            if (permitted) {
                up(now);
            }
        } else if (decided) {
            down();
        }
    }

    private void up(long now) {
        int first = 0; // that does not run
        while (first < is.length && is[first] == Is.RUNS) {
            first++;
        }
        if (first == is.length) {
            if (startedAt == NEVER) {
                startedAt = now;
                last = false;
            }
            ask(now);
            return;
        }
        for (int i = is.length - 1; i >= first; i--) {
            if (is[i] != Is.STOPPED) { // what it needs does not run, or it is doubtful itself
                step(i, Action.STOP);
                return;
            }
        }
        is[first] = Is.DOUBTFUL; // until it has been started
        step(first, Action.START);
    }

    private void down() {
        startedAt = NEVER;
        for (int i = is.length - 1; i >= 0; i--) {
            if (is[i] != Is.STOPPED) {
                is[i] = Is.DOUBTFUL;
                step(i, Action.STOP);
                return;
            }
        }
    }

    private void ask(long now) {
        if (question != 0) {
            return;
        }
        for (int i = 0; i < is.length; i++) {
            if (now >= ask[i]) {
                at = i;
                question = ++numbers;
                output.run(question, i, Action.STATUS);
                return;
            }
        }
    }

    private void step(int resource, Action what) {
        question = 0; // whatever is answered
        at = resource;
        action = what;
        step = ++numbers;
        output.run(step, resource, what);
    }

    private int find(Is sought) {
        return Arrays.asList(is).indexOf(sought);
    }

    private String name(int resource) {
        return resources.get(resource).name();
    }

    // ---- How it stands

    /** Whether all of it runs, and should. */
    public boolean isUp() {
        return wanted && permitted && step == 0 && failure.isEmpty() && stuck.isEmpty() && allAre(Is.RUNS);
    }

    private boolean allAre(Is state) {
        for (Is each : is) {
            if (each != state) {
                return false;
            }
        }
        return true;
    }

    /** Whether nothing of it runs or may run. */
    public boolean isDown() {
        return step == 0 && stuck.isEmpty() && allAre(Is.STOPPED);
    }

    public Phase phase() {
        if (!stuck.isEmpty()) {
            return Phase.STUCK;
        }
        if (find(Is.UNKNOWN) >= 0) {
            return Phase.PROBING;
        }
        if (isUp()) {
            return Phase.STARTED;
        }
        if (!failure.isEmpty()) {
            return isDown() ? Phase.FAILED : Phase.STOPPING;
        }
        if (wanted) {
            return permitted ? Phase.STARTING : Phase.WAITING;
        }
        return isDown() ? Phase.STOPPED : decided ? Phase.STOPPING : Phase.FOUND;
    }

    /** Whether this node is to have it only where no other node would: it could not, the last time. */
    public boolean comesLast() {
        return last;
    }

    /** How it stands, for people. */
    public String text() {
        String under = step == 0 ? "" : verb() + " " + name(at);
        return switch (phase()) {
            case PROBING -> "asks what runs: " + under;
            case FOUND -> String.join(", ", running()) + " runs from before";
            case STOPPED -> "stopped";
            case WAITING -> awaits.isEmpty() ? "may not be started yet" : awaits;
            case STARTING -> under.isEmpty() ? "is to be started" : under;
            case STARTED -> "started";
            case STOPPING ->
                (under.isEmpty() ? "is to be stopped" : under) + (failure.isEmpty() ? "" : ", as " + failure);
            case FAILED -> failure;
            case STUCK -> stuck;
        };
    }

    private String verb() {
        return switch (action) {
            case START -> "starts";
            case STOP -> "stops";
            case STATUS -> "asks for";
        };
    }

    private List<String> running() {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < is.length; i++) {
            if (is[i] != Is.STOPPED) {
                names.add(name(i));
            }
        }
        return names;
    }

    /** The state of each resource, for people, in order. */
    public List<String> states() {
        List<String> states = new ArrayList<>();
        for (int i = 0; i < is.length; i++) {
            boolean here = step != 0 && at == i;
            states.add(
                    here
                            ? switch (action) {
                                case START -> "starting";
                                case STOP -> "stopping";
                                case STATUS -> "asked";
                            }
                            : switch (Objects.requireNonNull(is[i])) {
                                case UNKNOWN -> "unknown";
                                case RUNS -> "running";
                                case DOUBTFUL -> "in doubt";
                                case STOPPED -> "stopped";
                            });
        }
        return states;
    }

    /** How often it has failed since it was last well. */
    public int failures() {
        return failures;
    }
}
