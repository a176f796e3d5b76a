package io.ballast.core.config;

import java.util.Locale;

/** What forwards the packets of a service. */
public enum EngineKind {
    /** A worker process that ends the client's TCP session and opens a second one; needs no root. */
    USERSPACE;

    /** The name in {@code ballast.yaml}. */
    public String yamlName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
