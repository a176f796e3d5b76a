package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Capability;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.InetAddress;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

class CheckSourcesTest {
    private static final InetAddress OWN = InetAddress.ofLiteral("fd00:10::1");
    private static final InetAddress VIP = InetAddress.ofLiteral("fd00:10::80");
    private static final InetAddress SERVER = InetAddress.ofLiteral("fd00:10::11");
    private static final Set<Address.Flag> NODAD = Set.of(Address.Flag.NODAD);

    private final LinkedBlockingQueue<Map<InetAddress, InetAddress>> changes = new LinkedBlockingQueue<>();
    private final List<String> warnings = new CopyOnWriteArrayList<>();
    private final CheckSources.Listener listener = new CheckSources.Listener() {
        @Override
        public void changed(Map<InetAddress, InetAddress> sources) {
            changes.add(sources);
        }

        @Override
        public void warn(String message) {
            warnings.add(message);
        }
    };

    private interface Change {
        void to(RouteNetlink netlink, int link) throws IOException;
    }

    private static void change(NetworkNamespace where, Change change) throws Exception {
        where.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                change.to(netlink, netlink.link("eth0").map(Link::index).orElse(0));
            }
            return true;
        });
    }

    @Test
    void checksAreNotSentFromAServicesAddress() throws Exception {
        Assumptions.assumeTrue(
                Capability.NET_ADMIN.isEffective() && Capability.SYS_ADMIN.isEffective(),
                "needs CAP_NET_ADMIN and CAP_SYS_ADMIN");
        try (NetworkNamespace director = NetworkNamespace.create();
                NetworkNamespace server = NetworkNamespace.create();
                CheckSources sources = director.call(() -> new CheckSources(listener))) {
            change(director, (netlink, none) -> netlink.create(new NewLink.Veth("eth0", "eth0", server)));
            change(server, (netlink, eth0) -> netlink.setUp(eth0, true));
            change(director, (netlink, eth0) -> {
                netlink.setUp(eth0, true);
                netlink.add(Address.of(eth0, OWN, 64).withFlags(NODAD));
            });
            assertThat(sources.await(Set.of(SERVER), Set.of(VIP)))
                    .as("no service's address is here")
                    .isEmpty();
            // Of two that are equally good, the kernel takes that which came last.
            change(
                    director,
                    (netlink, eth0) -> netlink.add(Address.of(eth0, VIP, 64).withFlags(NODAD)));
            assertThat(director.call(() -> {
                        try (RouteNetlink netlink = RouteNetlink.open()) {
                            return netlink.route(SERVER).source();
                        }
                    }))
                    .as("what the kernel would do")
                    .isEqualTo(VIP);
            assertThat(changes.poll(20, TimeUnit.SECONDS)).isEqualTo(Map.of(SERVER, OWN));
            assertThat(sources.await(Set.of(SERVER), Set.of(VIP))).isEqualTo(Map.of(SERVER, OWN));
            assertThat(warnings).isEmpty();

            change(director, (netlink, eth0) -> netlink.remove(Address.of(eth0, OWN, 64)));
            assertThat(changes.poll(20, TimeUnit.SECONDS)).isEmpty();
            assertThat(warnings)
                    .singleElement()
                    .asString()
                    .startsWith("checks of fd00:10::11 are sent from fd00:10::80, which is a service's address");
        }
    }
}
