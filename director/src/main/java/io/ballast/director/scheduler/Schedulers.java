package io.ballast.director.scheduler;

import io.ballast.core.config.SchedulerKind;

/** Makes schedulers. */
public final class Schedulers {

    private Schedulers() {}

    /** A scheduler of the kind, without servers. */
    public static Scheduler create(SchedulerKind kind) {
        return create(kind, HashOptions.DEFAULT);
    }

    /**
     * A scheduler of the kind, without servers.
     *
     * @param options for the hashing kinds; the others ignore it
     * @throws IllegalArgumentException a table size that the kind cannot have
     */
    public static Scheduler create(SchedulerKind kind, HashOptions options) {
        return switch (kind) {
            case RR -> new RoundRobin();
            case WRR -> new WeightedRoundRobin();
            case LC -> new BestFirst(Ranking.LEAST_CONNECTION);
            case WLC -> new BestFirst(Ranking.WEIGHTED_LEAST_CONNECTION);
            case SED -> new BestFirst(Ranking.SHORTEST_EXPECTED_DELAY);
            case NQ -> new BestFirst(Ranking.NEVER_QUEUE);
            case FO -> new BestFirst(Ranking.FAILOVER);
            case OVF -> new BestFirst(Ranking.OVERFLOW);
            case SH -> new SlotHash(false, options);
            case DH -> new SlotHash(true, options);
            case MH -> new Maglev(options);
            case LBLC -> new LocalityLeastConnection();
            case LBLCR -> new LocalityReplication();
        };
    }
}
