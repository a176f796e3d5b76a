package io.ballast.node;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.EngineChoice;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.xdp.XdpDirector;
import io.ballast.director.xdp.XdpSupport;
import io.ballast.linux.bpf.XdpLink;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Which engines a node could have, for who asks before there is a daemon. */
public final class EngineSupport {
    /** The name of Ballast's own program, which may be there already. */
    private static final String OWN_PROGRAM = "director";

    private EngineSupport() {}

    /** What the engine xdp lacks here, a sentence each; empty where it is nothing. */
    public static List<String> missingForXdp() {
        return XdpSupport.missing();
    }

    /**
     * The engine that a service would get here.
     *
     * @param works false where it cannot be had
     * @param why for people
     */
    public record Verdict(String service, EngineKind engine, boolean works, String why) {}

    /** What a verdict asks of the machine. */
    interface Machine {
        /** As {@link #missingForXdp}. */
        List<String> missing();

        /** Why the program could not be on the interfaces that packets of the service arrive on. */
        List<String> troubles(ServiceSpec service);

        /** Whether an address of the service is on the machine, as far as is known. */
        boolean has(ServiceSpec service);
    }

    /** What each service would get, were this process the daemon of a director. */
    public static List<Verdict> verdicts(Collection<ServiceSpec> services) {
        return verdicts(services, new ThisMachine());
    }

    static List<Verdict> verdicts(Collection<ServiceSpec> services, Machine machine) {
        List<String> missing = machine.missing();
        List<Verdict> verdicts = new ArrayList<>();
        for (ServiceSpec service : services) {
            verdicts.add(verdict(service, missing, machine));
        }
        return verdicts;
    }

    private static Verdict verdict(ServiceSpec service, List<String> missing, Machine machine) {
        String name = service.name();
        if (service.engine() == EngineKind.USERSPACE) {
            return new Verdict(name, EngineKind.USERSPACE, true, "as the description has it");
        }
        boolean choice = service.engine() == EngineKind.AUTO;
        Optional<String> only = choice ? EngineChoice.onlyUserspace(service) : Optional.empty();
        if (only.isPresent()) {
            return new Verdict(name, EngineKind.USERSPACE, true, only.get());
        }
        List<String> troubles = missing.isEmpty() ? machine.troubles(service) : missing;
        if (!troubles.isEmpty()) {
            return new Verdict(
                    name, choice ? EngineKind.USERSPACE : EngineKind.XDP, choice, String.join("; ", troubles));
        }
        return new Verdict(
                name,
                EngineKind.XDP,
                true,
                "forwarding " + service.forwarding().yamlName()
                        + (machine.has(service) ? "" : "; its addresses are not on this machine at the moment"));
    }

    private static Set<InetAddress> addresses(ServiceSpec service) {
        Set<InetAddress> addresses = new HashSet<>();
        service.listen().forEach(endpoint -> addresses.add(endpoint.address()));
        return addresses;
    }

    private static final class ThisMachine implements Machine {
        @Override
        public List<String> missing() {
            return missingForXdp();
        }

        @Override
        public boolean has(ServiceSpec service) {
            Set<InetAddress> addresses = addresses(service);
            try (RouteNetlink netlink = RouteNetlink.open()) {
                return netlink.addresses().stream().anyMatch(own -> addresses.contains(own.address()));
            } catch (IOException e) {
                return true; // not known to be otherwise
            }
        }

        @Override
        public List<String> troubles(ServiceSpec service) {
            List<String> troubles = new ArrayList<>();
            try (RouteNetlink netlink = RouteNetlink.open()) {
                Set<String> devices = new LinkedHashSet<>(XdpDirector.devicesOf(addresses(service)));
                if (!service.forwarding().keepsPort()) {
                    Set<InetAddress> servers = new HashSet<>();
                    service.servers()
                            .forEach(server ->
                                    Addresses.parse(server.address().host()).ifPresent(servers::add));
                    devices.addAll(XdpDirector.devicesToward(servers));
                }
                for (String device : devices) {
                    int index = netlink.link(device).map(Link::index).orElse(0);
                    XdpLink.attached(index)
                            .filter(program -> !program.program().equals(OWN_PROGRAM))
                            .ifPresent(program -> troubles.add(device + ": " + program));
                }
            } catch (IOException e) {
                troubles.add(String.valueOf(e.getMessage()));
            }
            return troubles;
        }
    }
}
