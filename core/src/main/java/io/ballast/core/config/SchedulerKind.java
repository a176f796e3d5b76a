package io.ballast.core.config;

import java.util.Locale;

/** How a director picks the real server of a new connection; the names and meanings are those of IPVS. */
public enum SchedulerKind {
    /** Round robin: each server in turn. */
    RR,
    /** Weighted round robin, interleaved: weights 4, 3 and 2 give 4, 3 and 2 in every nine connections. */
    WRR,
    /** Least connection: the server with the fewest connections. */
    LC,
    /** Weighted least connection: the fewest connections for its weight. */
    WLC,
    /** Source hashing: a client's address always leads to the same server. */
    SH,
    /** Destination hashing: a destination's address always leads to the same server. */
    DH,
    /** Shortest expected delay: the least (active + 1) / weight. */
    SED,
    /** Never queue: an idle server where there is one, shortest expected delay otherwise. */
    NQ,
    /** Weighted failover: always the available server with the highest weight. */
    FO,
    /** Weighted overflow: the highest weight until it has as many active connections, then the next. */
    OVF,
    /** Maglev hashing: even, and nearly undisturbed by a change of the server set. */
    MH,
    /** Locality-based least connection: one destination stays with one server until that is overloaded. */
    LBLC,
    /** Locality-based least connection with replication: one destination has a set of servers. */
    LBLCR;

    /** Whether it picks by the servers' connections, and can so keep a limit without a queue. */
    public boolean comparesLoads() {
        return this == LC || this == WLC || this == SED || this == NQ;
    }

    /** The name in {@code ballast.yaml} and in listings, for instance {@code wlc}. */
    public String yamlName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
