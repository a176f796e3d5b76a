package io.ballast.lab;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.topology.Topology.Node;
import java.net.InetSocketAddress;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.stream.Collectors;

/** How things are written for people. */
public final class Texts {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT).withZone(ZoneId.systemDefault());

    private Texts() {}

    /** {@code http://192.0.2.1}, with the port where it is not 80. */
    public static String url(InetSocketAddress address) {
        String text = HostPort.join(Addresses.print(address.getAddress()), address.getPort());
        return "http://" + (address.getPort() == 80 ? text.substring(0, text.length() - 3) : text);
    }

    /** {@code engine xdp, forwarding dr}; empty for the engine userspace, which has nothing to choose. */
    public static String engine(ServiceSpec service) {
        return service.engine() == EngineKind.USERSPACE
                ? ""
                : "engine " + service.engine().yamlName() + ", forwarding "
                        + service.forwarding().yamlName();
    }

    /** All addresses of a node, each once. */
    static String addresses(Node node) {
        String text = node.links().stream()
                .flatMap(l -> l.addresses().stream())
                .map(c -> Addresses.print(c.address()))
                .distinct()
                .collect(Collectors.joining(" "));
        return text.isEmpty() ? "-" : text;
    }

    static String time(Instant time) {
        return TIME.format(time);
    }
}
