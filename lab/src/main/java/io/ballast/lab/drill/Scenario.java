package io.ballast.lab.drill;

import java.util.Locale;
import java.util.Optional;

/** The faults that a drill knows. */
public enum Scenario {
    /** The end that an administrator would choose. */
    STOPPED("server stopped (it finishes what it is doing)", "started again"),
    /** Every process of it, without a warning. */
    KILLED("server killed (kill -9, every process of it)", "started again"),
    /** Its kernel still accepts connections. */
    FROZEN("server frozen (SIGSTOP: what is sent is taken, and never answered)", "goes on"),
    /** A layer-4 check would not see it. */
    ERROR("web server answers with status 500", "answers as it should"),
    /** Slower than the check's time-out. */
    SLOW("web server answers slower than its check waits", "answers as it should"),
    /** Nobody says so: packets vanish. */
    LINK_CUT("network cable pulled", "plugged in again"),
    /** Up and down faster than anybody can follow. */
    FLAPPING("server killed and started again, four times in four seconds", ""),
    /** Nothing is left. */
    ALL_DOWN("all servers killed, and there is no sorry server", "all started again"),
    /** The sorry server is left. */
    ALL_DOWN_SORRY("all web servers killed, and a sorry server stands by", "all started again"),
    /** An operator's SIGHUP. */
    RELOAD("daemon told to read its file again (SIGHUP), five times", ""),
    /** An operator's edit. */
    APPLY("one-line change applied (another weight)", "taken back"),
    /** The node process ends and leaves its worker, then starts again. */
    RESTART("daemon's node process stopped and started again, its traffic worker left alone", ""),
    /** A new node process takes over from a running one. */
    REPLACE("new node process takes over from the old one, as in an upgrade", ""),
    /** The node process without a warning. */
    NODE_KILLED("daemon's node process killed (kill -9), started again a second later", ""),
    /** The process that carries the bytes. */
    WORKER_KILLED("daemon's traffic worker killed (kill -9)", ""),
    /** The end that an administrator would choose, of who has the address. */
    MASTER_STOPPED("master's daemon stopped (SIGTERM)", "started again"),
    /** Nobody is left to take the address away. */
    MASTER_KILLED("master's daemon killed (kill -9, every process of it)", "started again"),
    /** As when the power fails. */
    MASTER_REMOVED("master removed: its interfaces gone, its daemon killed", "put back, and started again"),
    /** The node knows it. */
    MASTER_LINK_DOWN("master's interface switched off", "switched on again"),
    /** The node knows that as well, from its carrier. */
    MASTER_CABLE_CUT("master's network cable pulled", "plugged in again"),
    /** It hears the other one take over. */
    MASTER_MUTE("master hears and is not heard (nothing that it sends arrives)", "heard again"),
    /** Nobody can know from its advertisements. */
    MASTER_DEAF("master is heard and hears nothing (nothing arrives that others send)", "hears again"),
    /** Both hear the clients. */
    DIRECTORS_APART("nothing passes between the directors, all else does", "they hear each other again"),
    /** Short of what the others bear, or just beyond. */
    MASTER_PAUSED("master's daemon stopped as it stands for 300 ms (SIGSTOP)", ""),
    /** Beyond what anybody bears. */
    MASTER_FROZEN("master's daemon stopped as it stands for 5 s (SIGSTOP)", "goes on"),
    /** Nobody has the address meanwhile. */
    DIRECTORS_RESTARTED("the daemons of all directors stopped at once, and started again", ""),
    /** Three in a row are lost seldom. */
    ADVERTS_LOST_10("one of ten advertisements is lost", "none is lost any more"),
    /** Three in a row are lost every few seconds. */
    ADVERTS_LOST_30("three of ten advertisements are lost", "none is lost any more"),
    /** As where a loop or a bond sends frames twice. */
    ADVERTS_DOUBLED("every advertisement arrives twice", "once again"),
    /** Each waits for the next, so two come at once, and then none for two intervals. */
    ADVERTS_REORDERED("every advertisement changes places with the next one", "they come in their order again"),
    /** Somebody else's, who has taken the same number. */
    FOREIGN_ROUTER(
            "a foreign virtual router of the same router-id and priority 254 advertises another address", "gone"),
    /** Nobody tells the client that it is wrong. */
    CLIENT_MISLED(
            "master removed, and a second after the takeover the client's ARP cache says again that it has the address",
            "put back, and started again"),
    /** Nodes disagree for a while. */
    ROUTER_CHANGED(
            "virtual router's interval, priorities and addresses changed, on one node after another", "all taken back");

    private final String title;
    private final String end;

    Scenario(String title, String end) {
        this.title = title;
        this.end = end;
    }

    /** What happens, without naming to whom. */
    public String title() {
        return title;
    }

    /** How it ends; empty where it ends by itself. */
    String end() {
        return end;
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
        return this == LINK_CUT || movesAddress();
    }

    /** Whether it is about who has the service's address, which several nodes share. */
    boolean movesAddress() {
        return switch (this) {
            case MASTER_STOPPED,
                    MASTER_KILLED,
                    MASTER_REMOVED,
                    MASTER_LINK_DOWN,
                    MASTER_CABLE_CUT,
                    MASTER_MUTE,
                    MASTER_DEAF,
                    DIRECTORS_APART,
                    MASTER_PAUSED,
                    MASTER_FROZEN,
                    DIRECTORS_RESTARTED,
                    ADVERTS_LOST_10,
                    ADVERTS_LOST_30,
                    ADVERTS_DOUBLED,
                    ADVERTS_REORDERED,
                    FOREIGN_ROUTER,
                    CLIENT_MISLED,
                    ROUTER_CHANGED -> true;
            default -> false;
        };
    }

    /** Whether another node is expected to take the address over. */
    boolean othersTakeOver() {
        return switch (this) {
            case MASTER_DEAF,
                    MASTER_PAUSED,
                    DIRECTORS_RESTARTED,
                    ADVERTS_LOST_10,
                    ADVERTS_LOST_30,
                    ADVERTS_DOUBLED,
                    ADVERTS_REORDERED,
                    FOREIGN_ROUTER -> false;
            default -> movesAddress();
        };
    }

    /** What of the engine userspace it is about: its worker, or a server that it can ask in the others' place. */
    boolean needsUserspace() {
        return this == WORKER_KILLED || this == ALL_DOWN_SORRY;
    }

    /** What takes a server that can be told to answer otherwise, or a page. */
    boolean needsHttp() {
        return this == ERROR || this == SLOW || this == ALL_DOWN_SORRY;
    }

    /** Whether a real server is expected to leave the table, and to come back. */
    boolean serverLeaves() {
        return switch (this) {
            case STOPPED, KILLED, FROZEN, ERROR, SLOW, LINK_CUT, ALL_DOWN, ALL_DOWN_SORRY -> true;
            default -> false;
        };
    }

    /** Whether it befalls a single server, which can be named. */
    boolean singleServer() {
        return switch (this) {
            case STOPPED, KILLED, FROZEN, ERROR, SLOW, LINK_CUT, FLAPPING -> true;
            default -> false;
        };
    }

    /** Whether it befalls every server. */
    boolean allServers() {
        return this == ALL_DOWN || this == ALL_DOWN_SORRY;
    }
}
