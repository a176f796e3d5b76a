package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.VirtualRouterSpec.RouteSpec;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.neighbour.ArpProbe;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.TrafficControl;
import io.ballast.takeover.address.Announcements;
import io.ballast.takeover.address.VirtualRoutes;
import io.ballast.takeover.lease.LeaseGate;
import io.ballast.takeover.track.Tracking;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.ConnectException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A node that really has the addresses, and a neighbour who asks for them. */
@Timeout(60)
class LocalAddressesTest {
    private static final long MS = 1_000_000;
    private static final Inet4Address VIP = (Inet4Address) InetAddress.ofLiteral("192.0.2.100");
    private static final String INSTANCE = "local-addresses-test";

    private static final class Notes implements Takeover.Listener {
        final List<String> all = new CopyOnWriteArrayList<>();

        @Override
        public void changed(Membership member, Role from, Role to, int priority, String why) {}

        @Override
        public void tracked(List<String> routers, Tracking.Standing thing, int before, int now) {}

        @Override
        public void note(boolean warning, Membership member, String message) {
            all.add(message);
        }

        @Override
        public void note(boolean warning, String message) {
            all.add(message);
        }
    }

    private static boolean has(RouteNetlink netlink) throws IOException {
        return netlink.addresses().stream()
                .anyMatch(address -> address.address().equals(VIP));
    }

    /** The tables that have a route to 10.0.0.0/8. */
    private static Set<Integer> routes(RouteNetlink netlink) throws IOException {
        return netlink.routes().stream()
                .filter(route -> route.destination().length() == 8
                        && route.destination().address() instanceof Inet4Address
                        && !route.destination().address().isLoopbackAddress())
                .map(Route::table)
                .collect(Collectors.toSet());
    }

    private static boolean reaches(NetworkNamespace from, ServerSocket server) throws Exception {
        return from.call(() -> {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(VIP, server.getLocalPort()), 300);
                return true;
            } catch (SocketTimeoutException | ConnectException e) {
                return false;
            }
        });
    }

    private static Set<Integer> guarded(NetworkNamespace in) throws IOException {
        return in.call(() -> LeaseGate.left(INSTANCE));
    }

    private static Membership member(InetAddress vip, int prefixLength, boolean virtualMac) {
        return new Membership(
                "front",
                "eth0",
                3,
                51,
                150,
                20 * MS,
                List.of(new Cidr(vip, prefixLength)),
                true,
                0,
                List.of(),
                virtualMac,
                Checksum.PSEUDO_HEADER,
                Authentication.NONE,
                "",
                300 * MS,
                2,
                0);
    }

    @Test
    void theMasterAnswersAndNobodyAfterwards() throws Exception {
        Assumptions.assumeTrue(LeaseGate.missing().isEmpty(), () -> "no lease: " + LeaseGate.missing());
        Membership member = member(VIP, 24, false);
        try (Wire wire = Wire.open()) {
            Link far = Wire.link(wire.ofRight);
            Link near = Wire.link(wire.ofLeft);
            Notes notes = new Notes();
            Takeover takeover = wire.left.call(() -> new Takeover(notes, () -> LocalAddresses.open(notes, INSTANCE)));
            try {
                takeover.become(List.of(member));
                await("it has the address", () -> has(wire.ofLeft));
                assertThat(guarded(wire.left)).containsExactly(near.index());
                assertThat(wire.right.call(() -> ArpProbe.whoElseHas(far, Set.of(VIP), Duration.ofMillis(300))))
                        .isEqualTo(Map.of(VIP, Set.of(Objects.requireNonNull(near.address()))));

                takeover.manners(Map.of("front", Manner.WITHDRAWN));
                await("it has it no more", () -> !has(wire.ofLeft));
                assertThat(wire.right.call(() -> ArpProbe.whoElseHas(far, Set.of(VIP), Duration.ofMillis(100))))
                        .isEmpty();
                takeover.manners(Map.of());
                await("it has it again", () -> has(wire.ofLeft));

                try (ServerSocket server = wire.left.call(() -> new ServerSocket(0))) {
                    await("it is reached", () -> reaches(wire.right, server));
                    takeover.become(List.of(member.with(new Membership.Local(false, List.of()))));
                    await("it is reached no more", () -> !reaches(wire.right, server));
                    assertThat(wire.right.call(() -> ArpProbe.whoElseHas(far, Set.of(VIP), Duration.ofMillis(300))))
                            .hasSize(1);
                    takeover.become(List.of(member));
                    await("it is reached again", () -> reaches(wire.right, server));
                }

                Cidr far10 = new Cidr(InetAddress.ofLiteral("10.0.0.0"), 8);
                InetAddress next = InetAddress.ofLiteral("192.0.2.2");
                RouteSpec route = new RouteSpec(far10, Optional.of(next), Optional.empty(), 254, 7, Optional.of(VIP));
                RouteSpec other = new RouteSpec(far10, Optional.of(next), Optional.of("eth0"), 99, 0, Optional.empty());
                takeover.become(List.of(member.with(new Membership.Local(true, List.of(route, other)))));
                await("both are there", () -> routes(wire.ofLeft).equals(Set.of(254, 99)));
                takeover.become(List.of(member.with(new Membership.Local(true, List.of(route)))));
                await("one has gone", () -> routes(wire.ofLeft).equals(Set.of(254)));
                assertThat(has(wire.ofLeft)).isTrue();
                takeover.manners(Map.of("front", Manner.WITHDRAWN));
                await(
                        "the other goes with the address",
                        () -> routes(wire.ofLeft).isEmpty());
                // As somebody else has it, and as a killed daemon has left it.
                Route theirOwn = Route.to(new Prefix(far10.address(), 8), near.index(), next)
                        .withMetric(7);
                wire.ofLeft.add(theirOwn);
                wire.ofLeft.add(theirOwn.withMetric(8).withProtocol(VirtualRoutes.PROTOCOL));
                takeover.manners(Map.of());
                await("it is said", () -> notes.all.stream().anyMatch(note -> note.contains("somebody else's")));
                notes.all.removeIf(note -> note.contains("somebody else's"));
                wire.ofLeft.remove(theirOwn);
                wire.left.call(() -> VirtualRoutes.open()).close();
                assertThat(routes(wire.ofLeft)).isEmpty();
            } finally {
                takeover.close();
            }
            assertThat(has(wire.ofLeft)).isFalse();
            assertThat(guarded(wire.left)).isEmpty();
            assertThat(wire.left.call(() -> {
                        try (TrafficControl control = TrafficControl.open()) {
                            return control.clsacts();
                        }
                    }))
                    .isEmpty();
            // One whose description changes leaves and enters at once. What it has then is as much a lease as before;
            // of
            // this one no sign of life ever comes, so that it cannot even announce the address.
            try (LocalAddresses dead = wire.left.call(() -> LocalAddresses.open(new Notes(), INSTANCE))) {
                dead.enter(member, near, near);
                dead.leave(member);
                dead.enter(member, near, near);
                dead.acquire(member, System.nanoTime());
                await("it has the address again", () -> has(wire.ofLeft));
                assertThat(wire.right.call(() -> ArpProbe.whoElseHas(far, Set.of(VIP), Duration.ofMillis(300))))
                        .isEmpty();
                dead.release(member, System.nanoTime());
                dead.leave(member);
            }
            assertThat(notes.all.stream().filter(note -> !note.contains("real-time")))
                    .isEmpty();
        }
    }

    /** A neighbour goes on sending here; another machine, which has the address, would hear these questions and answer. */
    @Test
    void whoSendsToAnAddressThatHasGoneIsAskedFor() throws Exception {
        Assumptions.assumeTrue(LeaseGate.missing().isEmpty(), () -> "no lease: " + LeaseGate.missing());
        InetAddress vip6 = InetAddress.ofLiteral("2001:db8::100");
        try (Wire wire = Wire.open()) {
            int index = Wire.link(wire.ofRight).index();
            wire.ofRight.add(
                    Address.of(index, InetAddress.ofLiteral("2001:db8::2"), 64).withFlags(Set.of(Address.Flag.NODAD)));
            Link near = Wire.link(wire.ofLeft);
            MacAddress own = Objects.requireNonNull(near.address());
            MacAddress neighbour =
                    Objects.requireNonNull(Wire.link(wire.ofRight).address());
            Membership four = member(VIP, 24, false);
            Membership six = member(vip6, 64, false);
            try (LocalAddresses addresses = wire.left.call(() -> LocalAddresses.open(new Notes(), INSTANCE));
                    NativeSocket ear = wire.right.call(() -> NativeSocket.packet(index, 0x0003))) {
                addresses.enter(four, near, near);
                addresses.enter(six, near, near);
                await("it is guarded", () -> guarded(wire.left).contains(near.index()));
                for (Membership member : List.of(four, six)) {
                    InetAddress vip = member.addresses().getFirst().address();
                    byte[] wanted = vip instanceof Inet4Address ipv4
                            ? Announcements.arpProbe(own, neighbour, ipv4)
                            : Announcements.neighbourProbe(own, (Inet6Address) vip);
                    wire.ofRight.setNeighbour(index, vip, own);
                    wire.right.call(() -> {
                        try (DatagramSocket socket = new DatagramSocket()) {
                            await("it is asked for", () -> {
                                socket.send(new DatagramPacket(new byte[1], 1, vip, 9));
                                return hears(ear, wanted);
                            });
                        }
                        return true;
                    });
                    await("it is known", () -> addresses.strays(member).isPresent());
                    assertThat(addresses.strays(member).orElseThrow().senders()).isEqualTo(1);
                    addresses.acquire(member, System.nanoTime());
                    await("it is here", () -> addresses.strays(member).isEmpty());
                    addresses.release(member, System.nanoTime());
                    addresses.leave(member);
                }
            }
        }
    }

    private static boolean hears(NativeSocket ear, byte[] wanted) throws IOException {
        byte[] frame = new byte[2000];
        try {
            while (true) {
                int length = ear.read(frame, 0, frame.length, NativeSocket.deadlineIn(5 * MS));
                if (Arrays.equals(frame, 0, length, wanted, 0, wanted.length)) {
                    return true;
                }
            }
        } catch (SocketTimeoutException e) {
            return false;
        }
    }
}
