package io.ballast.bench;

import io.ballast.cli.Failure;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;

/**
 * Two directors and a client on a bridge, each in a network namespace without a name. Nothing leads out of them, and they
 * end with this and the programs in them, however this process ends.
 */
final class Wiring implements AutoCloseable {
    static final String DEVICE = "eth0";
    static final List<Place> DIRECTORS = List.of(Place.A, Place.B);

    /** Who is on the bridge. */
    enum Place {
        A(1),
        B(2),
        CLIENT(3);

        private final int number;

        Place(int number) {
            this.number = number;
        }

        int number() {
            return number;
        }

        /** As descriptions and files name it. */
        String word() {
            return this == A ? "a" : this == B ? "b" : "client";
        }

        InetAddress address() {
            return InetAddress.ofLiteral("192.0.2.1" + number);
        }

        MacAddress mac() {
            return new MacAddress(0x0200_0000_0010L + number);
        }

        private String port() {
            return "port" + number;
        }
    }

    private final Programs programs;
    private final NetworkNamespace bridge;
    private final RouteNetlink ofBridge;
    private final Map<Place, NetworkNamespace> namespaces = new EnumMap<>(Place.class);
    private final Map<Place, RouteNetlink> netlinks = new EnumMap<>(Place.class);
    private final List<AutoCloseable> open = new ArrayList<>();

    private Wiring(Programs programs) throws IOException {
        this.programs = programs;
        bridge = keep(NetworkNamespace.create());
        ofBridge = keep(bridge.call(RouteNetlink::open));
    }

    private <T extends AutoCloseable> T keep(T resource) {
        open.add(resource);
        return resource;
    }

    /** Makes it. Needs CAP_SYS_ADMIN and ip(8). */
    static Wiring open(Programs programs) throws IOException, Failure, InterruptedException {
        Wiring wiring = new Wiring(programs);
        try {
            wiring.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0");
            wiring.ip("link set br0 up");
            for (Place place : Place.values()) {
                NetworkNamespace namespace = wiring.keep(NetworkNamespace.create());
                wiring.namespaces.put(place, namespace);
                wiring.netlinks.put(place, wiring.keep(namespace.call(RouteNetlink::open)));
                // The programs that answer are there before the address is.
                var _ = namespace.call(() -> Sysctl.write("net/ipv4/ip_nonlocal_bind", "1"));
                wiring.plug(place);
            }
            return wiring;
        } catch (IOException | Failure | InterruptedException | RuntimeException e) {
            wiring.close();
            throw e;
        }
    }

    private void ip(String words) throws IOException, Failure, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of(Programs.need("ip", "iproute2").toString()));
        command.addAll(List.of(words.split(" ", -1)));
        Process process = bridge.call(() -> programs.start("ip", Programs.everyProcessor(), command));
        if (process.waitFor() != 0) {
            throw Failure.failed("ip " + words + ": " + programs.log("ip").strip());
        }
    }

    /** Runs a task where somebody is. */
    <T> T in(Place place, Callable<T> task) throws IOException {
        return namespace(place).call(task);
    }

    private NetworkNamespace namespace(Place place) {
        return Objects.requireNonNull(namespaces.get(place));
    }

    private RouteNetlink netlink(Place place) {
        return Objects.requireNonNull(netlinks.get(place));
    }

    /** The interface of somebody. */
    Link link(Place place) throws IOException {
        return netlink(place)
                .link(DEVICE)
                .orElseThrow(() -> new IOException(place.word() + " has no interface " + DEVICE));
    }

    /** Connects somebody by a cable. */
    void plug(Place place) throws IOException, Failure, InterruptedException {
        ofBridge.create(new NewLink.Veth(place.port(), DEVICE, namespace(place)));
        RouteNetlink own = netlink(place);
        int link = link(place).index();
        own.setAddress(link, place.mac());
        own.add(Address.of(link, place.address(), 24));
        ip("link set " + place.port() + " master br0 up");
        own.setUp(link, true);
    }

    /** Takes somebody's cable away, and his interface with it, at once. */
    void unplug(Place place) throws IOException {
        ofBridge.deleteLink(ofBridge.link(place.port())
                .orElseThrow(() -> new IOException("no " + place.port()))
                .index());
    }

    /** Switches somebody's interface on or off. */
    void switchLink(Place place, boolean up) throws IOException {
        netlink(place).setUp(link(place).index(), up);
    }

    /** Whether somebody's interface has an address. */
    boolean has(Place place, InetAddress address) throws IOException {
        return netlink(place).addresses().stream()
                .anyMatch(there -> there.address().equals(address));
    }

    /** Takes an address away that a dead program has left. */
    void clean(Place place, InetAddress address) throws IOException {
        for (Address there : netlink(place).addresses()) {
            if (there.address().equals(address)) {
                netlink(place).remove(there);
            }
        }
    }

    @Override
    public void close() {
        for (AutoCloseable each : open.reversed()) {
            try {
                each.close();
            } catch (Exception e) {
                System.err.println("bench: " + e.getMessage());
            }
        }
    }
}
