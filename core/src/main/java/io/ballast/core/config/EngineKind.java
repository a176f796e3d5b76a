package io.ballast.core.config;

import java.util.Locale;

/** What forwards the packets of a service. */
public enum EngineKind {
    /** A worker process that ends the client's TCP session and opens a second one; needs no root. */
    USERSPACE,
    /** A program in the kernel, at the network driver, which forwards single packets; needs root. */
    XDP;

    /** The name in {@code ballast.yaml}. */
    public String yamlName() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Whether it can forward so. */
    public boolean has(ForwardingMethod method) {
        return switch (method) {
            case PROXY -> this == USERSPACE;
            case DR, TUNNEL, GUE, NAT, FULLNAT -> this == XDP;
        };
    }

    /** Whether it can pick servers so. */
    public boolean has(SchedulerKind scheduler) {
        return switch (scheduler) {
            case RR, WRR, LC, WLC, SH, DH, SED, NQ, MH -> true;
            case FO, OVF, LBLC, LBLCR -> this == USERSPACE;
        };
    }

    /** Its method where none is written. */
    public ForwardingMethod defaultMethod() {
        return this == USERSPACE ? ForwardingMethod.PROXY : ForwardingMethod.DR;
    }
}
