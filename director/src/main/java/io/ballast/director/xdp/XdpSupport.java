package io.ballast.director.xdp;

import io.ballast.linux.bpf.BpfSupport;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Whether the engine xdp can be had. */
public final class XdpSupport {
    private XdpSupport() {}

    /** What this build, this machine and this process lack, a sentence each; empty where it is nothing. */
    public static List<String> missing() {
        List<String> missing = new ArrayList<>();
        try {
            DataPlane.object("director");
        } catch (IOException e) {
            missing.add(String.valueOf(e.getMessage()));
        }
        try {
            missing.addAll(BpfSupport.missing());
        } catch (IOException e) {
            missing.add(String.valueOf(e.getMessage()));
        }
        return missing;
    }
}
