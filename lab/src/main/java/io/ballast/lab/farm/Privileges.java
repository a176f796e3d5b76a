package io.ballast.lab.farm;

import io.ballast.director.xdp.XdpSupport;
import io.ballast.linux.Capability;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** What this user may do here, told before it is tried. */
public final class Privileges {
    private Privileges() {}

    /** Why no network namespaces can be made; empty where they can. */
    public static Optional<String> missingForNamespaces() {
        if (!has(Capability.SYS_ADMIN, Capability.NET_ADMIN)) {
            return Optional.of("not root (CAP_SYS_ADMIN and CAP_NET_ADMIN)");
        }
        return Programs.find("ip").isEmpty() ? Optional.of("ip(8) is missing (package iproute2)") : Optional.empty();
    }

    /** Why a lab's nodes cannot have the engine xdp, as far as can be told without one; empty where they can. */
    public static Optional<String> missingForXdp() {
        if (missingForNamespaces().isPresent()) {
            return missingForNamespaces();
        }
        return XdpSupport.missing().stream().findFirst();
    }

    /** Why packets cannot be captured; empty where they can. */
    public static Optional<String> missingForCapture() {
        if (!has(Capability.NET_RAW)) {
            return Optional.of("capturing packets needs root (CAP_NET_RAW): sudo ballast lab capture ...");
        }
        return Programs.find("tcpdump").isEmpty()
                ? Optional.of("tcpdump is missing; install it with: apt-get install -y tcpdump")
                : Optional.empty();
    }

    /** Where tcpdump is. */
    public static String tcpdump() throws IOException {
        return Programs.require("tcpdump", "tcpdump");
    }

    private static boolean has(Capability... wanted) {
        try {
            return Capability.effective().containsAll(List.of(wanted));
        } catch (IOException e) {
            return false; // without /proc nothing of a lab works anyway
        }
    }
}
