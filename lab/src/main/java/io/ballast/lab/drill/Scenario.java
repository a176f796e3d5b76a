package io.ballast.lab.drill;

import java.util.Locale;
import java.util.Optional;

/** The faults that a drill knows. */
public enum Scenario {
    /** The end that an administrator would choose. */
    STOPPED("one server's web server is stopped (it finishes what it is doing)"),
    /** Every process of it, without a warning. */
    KILLED("one server's web server is killed (SIGKILL)"),
    /** Its kernel still accepts connections. */
    FROZEN("one server's web server is frozen (SIGSTOP): it accepts, and never answers"),
    /** A layer-4 check would not see it. */
    ERROR("one server answers with status 500"),
    /** Slower than the check's time-out. */
    SLOW("one server answers slower than its check waits"),
    /** Nobody says so: packets vanish. */
    LINK_CUT("one server's network cable is pulled"),
    /** Up and down faster than anybody can follow. */
    FLAPPING("one server's web server is killed and started again four times in four seconds"),
    /** Nothing is left. */
    ALL_DOWN("all servers are killed, and there is no sorry server"),
    /** The sorry server is left. */
    ALL_DOWN_SORRY("all servers are killed, and a sorry server stands by"),
    /** An operator's SIGHUP. */
    RELOAD("the daemon reads its file again (SIGHUP), five times"),
    /** An operator's edit. */
    APPLY("a one-line change is applied, and taken back"),
    /** The node process ends and leaves its worker, then starts again. */
    RESTART("the daemon's node process is stopped (the worker goes on) and started again"),
    /** A new node process takes over from a running one. */
    REPLACE("a new node process takes over from the old one (upgrade)"),
    /** The node process without a warning. */
    NODE_KILLED("the daemon's node process is killed (SIGKILL) and started again a second later"),
    /** The process that carries the bytes. */
    WORKER_KILLED("the daemon's traffic worker is killed (SIGKILL)");

    private final String title;

    Scenario(String title) {
        this.title = title;
    }

    /** What happens, in one line. */
    public String title() {
        return title;
    }

    /** The name on the command line. */
    public String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** The scenario of this name. */
    public static Optional<Scenario> of(String label) {
        for (Scenario scenario : values()) {
            if (scenario.label().equals(label)) {
                return Optional.of(scenario);
            }
        }
        return Optional.empty();
    }

    /** Whether it needs a network of its own for each node. */
    boolean needsNamespaces() {
        return this == LINK_CUT;
    }

    /** Whether a real server is expected to leave the table, and to come back. */
    boolean serverLeaves() {
        return switch (this) {
            case STOPPED, KILLED, FROZEN, ERROR, SLOW, LINK_CUT, ALL_DOWN, ALL_DOWN_SORRY -> true;
            case FLAPPING, RELOAD, APPLY, RESTART, REPLACE, NODE_KILLED, WORKER_KILLED -> false;
        };
    }

    /** Whether it befalls every server. */
    boolean allServers() {
        return this == ALL_DOWN || this == ALL_DOWN_SORRY;
    }
}
