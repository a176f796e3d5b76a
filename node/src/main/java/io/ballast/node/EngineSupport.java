package io.ballast.node;

import io.ballast.director.xdp.XdpSupport;
import java.util.List;

/** Which engines a node could have, for who asks before there is a daemon. */
public final class EngineSupport {
    private EngineSupport() {}

    /** What the engine xdp lacks here, a sentence each; empty where it is nothing. */
    public static List<String> missingForXdp() {
        return XdpSupport.missing();
    }
}
