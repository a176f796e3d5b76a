package io.ballast.director;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executor;
import java.util.function.Function;

/**
 * The engines of a node as one. A service belongs to the engine that its description names; where a change of the
 * description gives it to another, that one has it before the other lets go of it, so that no packet comes in between.
 * Connections do not survive such a change: one engine's are sockets, the other's are packets.
 *
 * <p><b>A service that leaves the choice to the node</b> ({@link EngineKind#AUTO}) is tried with the engine xdp first. What
 * keeps that from serving it (no permission, no program in this build, no memory, somebody else's program on an
 * interface) is known at once, and then the engine userspace has it, and xdp nothing of it. There it stays, also when xdp
 * could have it: to move it would end its connections, which is for the operator to do, by a restart of the daemon or by
 * taking the service out and putting it in again. And once xdp has served a service, it keeps it whatever happens: where an
 * interface is gone, packets come to no engine. A service whose description named xdp until now and that xdp does not serve
 * has nothing to lose, and is tried as a new one.
 */
public final class Engines implements ForwardingEngine {
    private final ForwardingEngine userspace;
    private final ForwardingEngine xdp;
    private final EngineEvents events;
    private final Executor loop;
    private final Map<String, ForwardingEngine> owners = new HashMap<>();
    private final Map<String, Choice> choices = new HashMap<>();
    /** Where xdp takes packets, by service. */
    private final Map<String, Set<Endpoint>> takes = new HashMap<>();

    /** How far a service is whose engine is the node's choice. */
    private static final class Choice {
        Forwarding wanted;
        boolean served;
        /** Why xdp does not serve it; empty while it does or is tried. */
        String reason = "";

        Choice(Forwarding wanted, boolean served) {
            this.wanted = wanted;
            this.served = served;
        }
    }

    /**
     * Of an engine each; neither is the other's business.
     *
     * @param loop runs tasks on the control loop, in order
     * @param events what the engines have to say; userspace tells them itself
     * @param xdp makes the engine for what hears of it
     */
    public Engines(
            Executor loop,
            EngineEvents events,
            ForwardingEngine userspace,
            Function<EngineEvents, ? extends ForwardingEngine> xdp) {
        this.loop = loop;
        this.events = events;
        this.userspace = userspace;
        this.xdp = xdp.apply(new FromXdp());
    }

    @Override
    public String name() {
        return "all";
    }

    @Override
    public void put(Forwarding service) {
        String name = service.service();
        if (service.engine() != EngineKind.AUTO) {
            choices.remove(name);
            give(service, service.engine() == EngineKind.USERSPACE ? userspace : xdp);
            return;
        }
        Choice choice = choices.computeIfAbsent(name, unknown -> new Choice(service, isServed(name)));
        choice.wanted = service;
        if (!choice.reason.isEmpty()) {
            give(proxied(service), userspace);
        } else if (choice.served) {
            give(service, xdp);
        } else {
            // A worker that has it from before goes on until this one does.
            owners.put(name, xdp);
            xdp.put(service);
        }
    }

    /** Whether xdp serves a service that begins to leave the choice to the node; it forgets one that it cannot serve. */
    private boolean isServed(String service) {
        if (!xdp.equals(owners.get(service))) {
            return false;
        }
        boolean served = takes.containsKey(service);
        if (!served) {
            xdp.remove(service);
        }
        return served;
    }

    private static Forwarding proxied(Forwarding service) {
        return service.by(EngineKind.USERSPACE, ForwardingMethod.PROXY);
    }

    private void give(Forwarding service, ForwardingEngine owner) {
        owner.put(service);
        if (!owner.equals(owners.put(service.service(), owner))) {
            // Also where a process before has left it.
            if (owner.equals(userspace)) {
                takes.remove(service.service());
                xdp.remove(service.service());
            } else {
                userspace.remove(service.service());
            }
        }
    }

    @Override
    public void remove(String service) {
        owners.remove(service);
        choices.remove(service);
        takes.remove(service);
        userspace.remove(service);
        xdp.remove(service);
    }

    /** The engine that a service has now; empty where it is not forwarded. */
    public Optional<EngineKind> engineOf(String service) {
        return Optional.ofNullable(owners.get(service))
                .map(owner -> owner.equals(userspace) ? EngineKind.USERSPACE : EngineKind.XDP);
    }

    /** Why a service that leaves the choice to the node is not served by xdp; empty where it is, or has no choice. */
    public Optional<String> whyNotXdp(String service) {
        return Optional.ofNullable(choices.get(service))
                .map(choice -> choice.reason)
                .filter(reason -> !reason.isEmpty());
    }

    private final class FromXdp implements EngineEvents {
        @Override
        public void listening(String service, Endpoint endpoint) {
            takes.computeIfAbsent(service, unknown -> new HashSet<>()).add(endpoint);
            Choice choice = choices.get(service);
            if (choice != null && choice.reason.isEmpty() && !choice.served) {
                choice.served = true;
                userspace.remove(service);
            }
            if (choice == null || choice.served) {
                events.listening(service, endpoint);
            }
        }

        @Override
        public void notListening(String service, Endpoint endpoint, String reason) {
            takes.computeIfPresent(service, (name, rest) -> rest.remove(endpoint) && rest.isEmpty() ? null : rest);
            Choice choice = choices.get(service);
            if (choice == null || choice.served) {
                events.notListening(service, endpoint, reason);
            } else if (choice.reason.isEmpty()) {
                choice.reason = reason;
                // Not while the engine is about it.
                loop.execute(() -> fall(service, choice));
            }
        }

        @Override
        public void drained(String service, String server, int closed) {
            events.drained(service, server, closed);
        }

        @Override
        public void pressure(boolean on, String reason) {
            events.pressure(on, reason);
        }

        @Override
        public void note(boolean warning, String subject, String message) {
            events.note(warning, subject, message);
        }
    }

    private void fall(String service, Choice choice) {
        if (!choice.equals(choices.get(service))) {
            return; // removed, or put with an engine of its own
        }
        give(proxied(choice.wanted), userspace);
        events.note(
                false,
                service,
                service + " is served by the engine userspace, not xdp: " + choice.reason
                        + ". It stays there; once xdp can have it, restart the daemon, or take the service out and put it in"
                        + " again: its connections end then");
    }

    @Override
    public CompletionStage<List<ServiceStatistics>> statistics() {
        return all(ForwardingEngine::statistics);
    }

    @Override
    public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
        ForwardingEngine owner = owners.get(query.filter().service());
        if (owner != null) {
            return owner.connections(query);
        }
        return all(engine -> engine.connections(query).thenApply(List::of))
                .thenApply(reports -> ConnectionReport.merge(reports, query.limit()));
    }

    /** The kernel always answers; a worker may not, and where it has no services that must hide nothing. */
    private <T> CompletionStage<List<T>> all(Function<ForwardingEngine, CompletionStage<List<T>>> ask) {
        CompletionStage<List<T>> inKernel = ask.apply(xdp);
        if (!owners.containsValue(userspace)) {
            return inKernel;
        }
        return inKernel.thenCombine(ask.apply(userspace), (some, more) -> {
            List<T> both = new ArrayList<>(some);
            both.addAll(more);
            return both;
        });
    }

    @Override
    public void close() {
        userspace.close();
        xdp.close();
    }
}
