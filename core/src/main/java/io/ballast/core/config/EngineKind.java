package io.ballast.core.config;

import java.util.Locale;

/** What forwards the packets of a service. */
public enum EngineKind {
    /** A worker process that ends the client's TCP session and opens a second one; needs no root. */
    USERSPACE,
    /** A program in the kernel, at the network driver, which forwards single packets; needs root. */
    XDP,
    /** {@link #XDP} where the node can have it for the service, else {@link #USERSPACE}. */
    AUTO;

    /** The name in {@code ballast.yaml}. */
    public String yamlName() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Whether it can forward so; {@link #AUTO} where xdp can. */
    public boolean has(ForwardingMethod method) {
        return switch (method) {
            case PROXY -> this == USERSPACE;
            case DR, TUNNEL, GUE, NAT, FULLNAT -> this != USERSPACE;
        };
    }

    /** Whether it can pick servers so. */
    public boolean has(SchedulerKind scheduler) {
        return switch (scheduler) {
            case RR, WRR, LC, WLC, SH, DH, SED, NQ, MH -> true;
            case FO, OVF, LBLC, LBLCR -> this != XDP;
        };
    }

    /**
     * Its method where none is written. With {@link #AUTO} the servers see one of the director's addresses either way, so
     * that it is nothing to them which engine there is.
     */
    public ForwardingMethod defaultMethod() {
        return switch (this) {
            case USERSPACE -> ForwardingMethod.PROXY;
            case XDP -> ForwardingMethod.DR;
            case AUTO -> ForwardingMethod.FULLNAT;
        };
    }
}
