package io.ballast.director;

import io.ballast.core.config.ForwardingMethod;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;

/**
 * The engines of a node as one. A service belongs to the engine that has its forwarding method; where a change of the
 * description gives it to another, that one has it before the other lets go of it, so that no packet comes in between.
 * Connections do not survive such a change: one engine's are sockets, the other's are packets.
 */
public final class Engines implements ForwardingEngine {
    private final ForwardingEngine userspace;
    private final ForwardingEngine xdp;
    private final Map<String, ForwardingEngine> owners = new HashMap<>();

    /** Of an engine each; neither is the other's business. */
    public Engines(ForwardingEngine userspace, ForwardingEngine xdp) {
        this.userspace = userspace;
        this.xdp = xdp;
    }

    @Override
    public String name() {
        return "all";
    }

    @Override
    public void put(Forwarding service) {
        boolean proxy = service.method() == ForwardingMethod.PROXY;
        ForwardingEngine owner = proxy ? userspace : xdp;
        owner.put(service);
        if (!owner.equals(owners.put(service.service(), owner))) {
            // Also where a process before has left it.
            (proxy ? xdp : userspace).remove(service.service());
        }
    }

    @Override
    public void remove(String service) {
        owners.remove(service);
        userspace.remove(service);
        xdp.remove(service);
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
