package io.ballast.linux;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/** The capabilities (capabilities(7)) that Ballast asks for or explains the lack of. */
public enum Capability {
    /** Change the owner of files. */
    CHOWN(0),
    /** Pass over the owners and modes of files. */
    DAC_OVERRIDE(1),
    /** Signal processes of other users. */
    KILL(5),
    /** Bind ports below {@code net.ipv4.ip_unprivileged_port_start}. */
    NET_BIND_SERVICE(10),
    /** Addresses, routes, IPVS, transparent sockets. */
    NET_ADMIN(12),
    /** Raw and packet sockets. */
    NET_RAW(13),
    /** Lock memory. */
    IPC_LOCK(14),
    /** Namespaces and mounts. */
    SYS_ADMIN(21),
    /** Real-time scheduling. */
    SYS_NICE(23),
    /** Raise hard resource limits. */
    SYS_RESOURCE(24),
    /** Load eBPF programs that compute with addresses, without guards against speculation. */
    PERFMON(38),
    /** Load eBPF programs. */
    BPF(39);

    private final int bit;

    Capability(int bit) {
        this.bit = bit;
    }

    /** The bit in the kernel's capability sets. */
    public int bit() {
        return bit;
    }

    /** The name as in capabilities(7), for example {@code CAP_NET_ADMIN}. */
    public String kernelName() {
        return "CAP_" + name().toUpperCase(Locale.ROOT);
    }

    /** The capabilities of this list that are effective in the calling thread (CapEff of /proc/thread-self/status). */
    public static Set<Capability> effective() throws IOException {
        return effective(Files.readAllLines(Path.of("/proc/thread-self/status")));
    }

    static Set<Capability> effective(List<String> status) throws IOException {
        for (String line : status) {
            if (line.startsWith("CapEff:")) {
                long bits = Long.parseUnsignedLong(
                        line.substring("CapEff:".length()).strip(), 16);
                Set<Capability> effective = EnumSet.noneOf(Capability.class);
                for (Capability capability : values()) {
                    if ((bits >>> capability.bit & 1) != 0) {
                        effective.add(capability);
                    }
                }
                return effective;
            }
        }
        throw new IOException("/proc/thread-self/status has no CapEff line");
    }

    /** True when this capability is effective in the calling thread. */
    public boolean isEffective() throws IOException {
        return effective().contains(this);
    }
}
