package io.ballast.node;

import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ServiceSpec;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/** Says that a service is up once it listens: where its engine may still refuse it, servers that are up are not enough. */
final class UpNews {
    /** Of services that do not listen yet. */
    private final Map<String, Consumer<Instant>> waiting = new HashMap<>();

    /**
     * A service is up, or not.
     *
     * @param type of the event
     * @param listens whether it does at one endpoint at least
     * @param tell says so, with the time that it is said to be
     */
    void happened(Instant at, ServiceSpec spec, String type, boolean listens, Consumer<Instant> tell) {
        waiting.remove(spec.name());
        if (type.equals("service.up") && spec.engine() != EngineKind.USERSPACE && !listens) {
            waiting.put(spec.name(), tell);
        } else {
            tell.accept(at);
        }
    }

    /** It listens. */
    void listens(Instant now, String service) {
        Consumer<Instant> up = waiting.remove(service);
        if (up != null) {
            up.accept(now);
        }
    }

    /** There are only these services now. */
    void retain(Set<String> services) {
        waiting.keySet().retainAll(services);
    }
}
