package io.ballast.director.scheduler;

import io.ballast.core.config.SchedulerKind;

/** Makes schedulers. */
public final class Schedulers {

    private Schedulers() {}

    /** A scheduler of the kind, without servers. */
    public static Scheduler create(SchedulerKind kind) {
        return switch (kind) {
            case RR -> new RoundRobin();
            default -> throw new UnsupportedOperationException("scheduler " + kind.yamlName() + " is not there yet");
        };
    }
}
