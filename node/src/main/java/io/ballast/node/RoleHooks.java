package io.ballast.node;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.VirtualRouterSpec.NotifySpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.linux.Fifo;
import io.ballast.linux.Hook;
import io.ballast.takeover.hook.Hooks;
import io.ballast.takeover.hook.Hooks.State;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.wire.Membership;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** Tells the programs and named pipes that virtual routers name what this node has become to those. */
final class RoleHooks implements AutoCloseable {
    private final HookRunner.Ended journal;
    private final Hooks hooks;

    // Guarded by this.
    /** Also of virtual routers that are not described any more: their end is still to be told. */
    private final Map<String, NotifySpec> wanted = new HashMap<>();
    /** By path. */
    private final Map<String, Fifo> pipes = new HashMap<>();

    private boolean closed;

    /** Hears of no virtual router yet. */
    RoleHooks(HookRunner.Ended journal) {
        this.journal = journal;
        this.hooks = new Hooks(Hooks.TIMEOUT, new ToJournal());
    }

    private final class ToJournal implements Hooks.Listener {
        @Override
        public void ended(Hooks.Event event, List<String> command, Hook.Result result) {
            HookRunner.tell(journal, command, event.router(), result);
        }

        @Override
        public void warn(String message) {
            journal.onEnd(Severity.WARNING, "takeover.note", "takeover", message, Map.of());
        }
    }

    /** What these virtual routers want to have told from now on; others stay as they are. */
    synchronized void become(Collection<VirtualRouterSpec> routers) {
        for (VirtualRouterSpec router : routers) {
            wanted.put(router.name(), router.hooks());
            router.hooks().fifo().ifPresent(path -> open(router.name(), path));
        }
    }

    private synchronized void open(String router, String path) {
        if (closed || pipes.containsKey(path)) {
            return;
        }
        try {
            pipes.put(path, Fifo.open(Path.of(path)));
        } catch (IOException e) {
            journal.onEnd(
                    Severity.ERROR,
                    "notify.failed",
                    router,
                    "the named pipe " + path + " is told nothing: " + e.getMessage(),
                    Map.of());
        }
    }

    /** A role is another. Waits for nothing. */
    synchronized void changed(Membership member, Role from, Role to, int priority, String why) {
        NotifySpec spec = wanted.get(member.name());
        State state = state(from, to).orElse(null);
        if (spec == null || state == null || closed) {
            return;
        }
        Optional<String> command = switch (state) {
            case MASTER -> spec.master();
            case BACKUP -> spec.backup();
            case FAULT -> spec.fault();
            case STOP -> spec.stop();
        };
        Map<String, String> facts = Map.of(
                "family",
                member.ipv6() ? "ipv6" : "ipv4",
                "from",
                TakeoverDuty.word(from),
                "why",
                why,
                "addresses",
                member.addresses().stream().map(Cidr::toString).collect(Collectors.joining(" ")));
        hooks.happened(
                new Hooks.Event(member.name(), state, priority, facts),
                command.map(path -> List.of(List.of(path))).orElse(List.of()),
                spec.fifo().map(pipes::get));
    }

    /** Nothing while a node that leaves still has the addresses. */
    private static Optional<State> state(Role from, Role to) {
        return switch (to) {
            case MASTER -> from == Role.LEAVING ? Optional.empty() : Optional.of(State.MASTER);
            case BACKUP -> Optional.of(State.BACKUP);
            case FAULT -> Optional.of(State.FAULT);
            case STOPPED -> Optional.of(State.STOP);
            case LEAVING -> Optional.empty();
        };
    }

    /** Lets what has been told run for so long at most, and ends. */
    void close(Duration patience) throws InterruptedException {
        try {
            if (!hooks.finish(patience)) {
                journal.onEnd(
                        Severity.WARNING,
                        "notify.failed",
                        "takeover",
                        "hooks of virtual routers had not ended " + patience.toSeconds()
                                + " s after this node had left: those that ran are killed, others do not run",
                        Map.of());
            }
        } finally {
            close();
        }
    }

    /** Ends at once: hooks that run are killed. */
    @Override
    public synchronized void close() {
        closed = true;
        hooks.close();
        pipes.values().forEach(Fifo::close);
        pipes.clear();
    }
}
