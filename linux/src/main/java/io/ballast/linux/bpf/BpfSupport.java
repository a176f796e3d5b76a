package io.ballast.linux.bpf;

import io.ballast.linux.Capability;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Whether the calling thread can load and attach programs on this machine. */
public final class BpfSupport {
    private BpfSupport() {}

    /**
     * What stands in the way of loading XDP programs, attaching and pinning them, a sentence each; empty when nothing
     * does. Found by asking: a map is made and thrown away.
     */
    public static List<String> missing() throws IOException {
        List<String> missing = new ArrayList<>();
        try {
            Libbpf.get();
        } catch (IOException e) {
            missing.add(String.valueOf(e.getMessage()));
        }
        Map<Capability, String> needed = new EnumMap<>(Capability.class);
        needed.put(Capability.BPF, "load programs and make maps");
        needed.put(Capability.NET_ADMIN, "load XDP programs");
        needed.put(Capability.PERFMON, "load programs that compute with packet addresses");
        if (!BpfFs.isMounted(BpfFs.DEFAULT)) {
            needed.put(Capability.SYS_ADMIN, "mount a bpffs, as there is none at " + BpfFs.DEFAULT);
        }
        Set<Capability> effective = Capability.effective();
        if (effective.contains(Capability.SYS_ADMIN)) {
            // It once was all of these, and the kernel still takes it for them.
            needed.remove(Capability.BPF);
            needed.remove(Capability.PERFMON);
        }
        needed.forEach((capability, what) -> {
            if (!effective.contains(capability)) {
                missing.add(capability.kernelName() + " is missing: it is needed to " + what);
            }
        });
        if (effective.contains(Capability.BPF)) {
            try (BpfMap map = BpfMap.create("probe", new MapShape(MapType.ARRAY, 4, 4, 1, 0))) {
                map.info();
            } catch (LinuxException e) {
                missing.add("bpf(2) is refused although the capability is there, by a seccomp filter, a lockdown or the"
                        + " kernel's configuration: " + e.getMessage());
            }
        }
        return missing;
    }
}
