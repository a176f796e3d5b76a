package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.Sysctl;
import io.ballast.linux.neighbour.ArpProbe;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.takeover.address.VirtualLinks;
import io.ballast.takeover.lease.LeaseGate;
import io.ballast.takeover.track.Tracking;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Addresses with an Ethernet address of their own: a node that really has them, and a neighbour who asks for them. */
@Timeout(60)
class VirtualMacTest {
    private static final long MS = 1_000_000;
    private static final InetAddress VIP = InetAddress.ofLiteral("192.0.2.100");
    private static final InetAddress VIP6 = InetAddress.ofLiteral("2001:db8::100");
    private static final String INSTANCE = "virtual-mac-test";
    private static final int ALL = 3;

    private static final class Notes implements Takeover.Listener {
        final List<String> all = new CopyOnWriteArrayList<>();
        final List<Role> roles = new CopyOnWriteArrayList<>();

        @Override
        public void changed(Membership member, Role from, Role to, int priority, String why) {
            roles.add(to);
        }

        @Override
        public void tracked(List<String> routers, Tracking.Standing thing, int before, int now) {}

        @Override
        public void note(boolean warning, Membership member, String message) {
            all.add(message);
        }

        @Override
        public void note(boolean warning, String message) {
            if (!message.contains("real-time")) {
                all.add(message);
            }
        }
    }

    private final Notes notes = new Notes();
    private Wire wire;
    private @Nullable Takeover takeover;

    @BeforeEach
    void plug() throws Exception {
        Assumptions.assumeTrue(LeaseGate.missing().isEmpty(), () -> "no lease: " + LeaseGate.missing());
        wire = Wire.open();
        ipv6(wire.ofLeft, "2001:db8::1");
        ipv6(wire.ofRight, "2001:db8::2");
        wire.awaitLinkLocal();
        try {
            wire.ofLeft.create(new NewLink.Macvlan(
                    "probe",
                    Wire.link(wire.ofLeft).index(),
                    NewLink.Macvlan.Mode.VEPA,
                    MacAddress.parse("02:00:00:00:00:01")));
            wire.ofLeft.deleteLink(wire.ofLeft.link("probe").orElseThrow().index());
        } catch (IOException e) {
            Assumptions.abort("no macvlan: " + e.getMessage());
        }
        begin();
    }

    private static void ipv6(RouteNetlink netlink, String address) throws IOException {
        netlink.add(Address.of(Wire.link(netlink).index(), InetAddress.ofLiteral(address), 64)
                .withFlags(Set.of(Address.Flag.NODAD)));
    }

    private void begin() throws IOException {
        takeover = wire.left.call(() -> new Takeover(notes, () -> LocalAddresses.open(notes, INSTANCE)));
    }

    @AfterEach
    void unplug() throws Exception {
        if (takeover != null) {
            takeover.close();
        }
        if (wire != null) {
            wire.close();
        }
    }

    private static Membership member(boolean ipv6, int priority) {
        return new Membership(
                "front",
                "eth0",
                3,
                51,
                priority,
                20 * MS,
                List.of(ipv6 ? new Cidr(VIP6, 64) : new Cidr(VIP, 24)),
                true,
                0,
                List.of(),
                true,
                Checksum.PSEUDO_HEADER,
                Authentication.NONE,
                "",
                300 * MS,
                2,
                0);
    }

    private Takeover takeover() {
        return Objects.requireNonNull(takeover);
    }

    private Optional<Link> carrier(boolean ipv6) throws IOException {
        return wire.ofLeft.link(ipv6 ? "vrrp6.51" : "vrrp.51");
    }

    /** The interfaces that have the address. */
    private List<Integer> places(InetAddress vip) throws IOException {
        return wire.ofLeft.addresses().stream()
                .filter(address -> address.address().equals(vip))
                .map(Address::link)
                .toList();
    }

    private Map<InetAddress, Set<MacAddress>> answers() throws IOException {
        Link far = Wire.link(wire.ofRight);
        return wire.right.call(() -> ArpProbe.whoElseHas(far, Set.of((Inet4Address) VIP), Duration.ofMillis(300)));
    }

    private String setting(String name) throws IOException {
        return wire.left.call(() -> Sysctl.read(name));
    }

    /** Where the neighbour believes the address to be, after it has asked. */
    private @Nullable MacAddress believed(InetAddress vip) throws Exception {
        int far = Wire.link(wire.ofRight).index();
        wire.ofRight.keepNeighbour(far, vip);
        await(
                "an answer about " + vip,
                () -> wire.ofRight.neighbour(far, vip).map(Neighbour::mac).isPresent());
        return wire.ofRight.neighbour(far, vip).map(Neighbour::mac).orElse(null);
    }

    /** Senders of what the neighbour gets in a moment: advertisements, and the other frames. */
    private Set<String> senders() throws IOException {
        int far = Wire.link(wire.ofRight).index();
        Set<String> senders = new HashSet<>();
        byte[] frame = new byte[1600];
        long until = System.nanoTime() + 300 * MS;
        try (NativeSocket socket = wire.right.call(() -> NativeSocket.packet(far, ALL))) {
            while (System.nanoTime() < until) {
                int length;
                try {
                    length = socket.read(frame, 0, frame.length, NativeSocket.deadlineIn(100 * MS));
                } catch (SocketTimeoutException e) {
                    continue;
                }
                boolean advertises = length > 34
                        && ((frame[12] == 8 && frame[13] == 0 && frame[23] == 112)
                                || (frame[12] == (byte) 0x86 && frame[20] == 112));
                senders.add(
                        (advertises ? "advertisement " : "frame ") + MacAddress.of(Arrays.copyOfRange(frame, 6, 12)));
            }
        }
        return senders;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theAddressIsAtItsOwnEthernetAddressAndComesAndGoesWithIt(boolean ipv6) throws Exception {
        InetAddress vip = ipv6 ? VIP6 : VIP;
        // Of the whole machine, as some have it: more than the macvlan's own could undo.
        wire.left.call(() -> Sysctl.write("net/ipv4/conf/all/rp_filter", "1"));
        MacAddress mac = MacAddress.parse(ipv6 ? "00:00:5e:00:02:33" : "00:00:5e:00:01:33");
        assertThat(VirtualLinks.mac(ipv6, 51)).isEqualTo(mac);
        takeover().become(List.of(member(ipv6, 150)));
        await("it has the address", () -> !places(vip).isEmpty());
        Link carrier = carrier(ipv6).orElseThrow();
        assertThat(places(vip)).containsExactly(carrier.index());
        assertThat(carrier.address()).isEqualTo(mac);
        assertThat(carrier.alias()).isEqualTo("ballast " + INSTANCE);
        assertThat(wire.ofLeft.addresses(carrier.index()))
                .as("no address that came by itself")
                .hasSize(1);
        assertThat(wire.ofLeft.routes().stream()
                        .filter(route -> route.destination().length() == (ipv6 ? 64 : 24)
                                && route.hops().stream().anyMatch(hop -> hop.link() == carrier.index())))
                .as("the way to the network stays that of eth0")
                .isEmpty();
        if (!ipv6) {
            assertThat(answers()).isEqualTo(Map.of(VIP, Set.of(mac)));
            assertThat(setting("net/ipv4/conf/eth0/arp_ignore")).isEqualTo("1");
        }
        assertThat(believed(vip)).isEqualTo(mac);
        assertThat(senders())
                .contains("advertisement " + mac)
                .doesNotContain("advertisement " + Wire.link(wire.ofLeft).address());
        assertThat(wire.right.call(
                        () -> InetAddress.getByAddress(vip.getAddress()).isReachable(5000)))
                .isTrue();

        takeover().manners(Map.of("front", Manner.WITHDRAWN));
        await("it has it no more", () -> places(vip).isEmpty());
        assertThat(carrier(ipv6)).as("ready for the next time").isPresent();
        assertThat(senders()).noneMatch(sender -> sender.endsWith(mac.toString()));
        takeover().become(List.of());
        await("the interface is gone", () -> carrier(ipv6).isEmpty());
        await(
                "the setting is as before",
                () -> setting("net/ipv4/conf/eth0/arp_ignore").equals("0"));
        assertThat(notes.all).isEmpty();
        assertThat(notes.roles).startsWith(Role.BACKUP, Role.MASTER).doesNotContain(Role.FAULT);
    }

    @Test
    void whatAKilledDaemonLeftIsRemovedAndMadeAnew() throws Exception {
        takeover().become(List.of(member(false, 150)));
        await("it has the address", () -> !places(VIP).isEmpty());
        takeover().close();
        takeover = null;
        wire.ofLeft.create(new NewLink.Macvlan(
                "vrrp.51", Wire.link(wire.ofLeft).index(), NewLink.Macvlan.Mode.VEPA, VirtualLinks.mac(false, 51)));
        int leftover = carrier(false).orElseThrow().index();
        wire.ofLeft.setAlias(leftover, "ballast " + INSTANCE);
        begin();
        takeover().become(List.of(member(false, 150)));
        await("it has the address", () -> !places(VIP).isEmpty());
        assertThat(places(VIP)).doesNotContain(leftover);
        assertThat(wire.ofLeft.link(leftover)).isEmpty();
        assertThat(notes.all).isEmpty();
    }

    @Test
    void whereSomebodyElseHasTheEthernetAddressItIsFaultyAndSaysWhy() throws Exception {
        wire.ofLeft.create(new NewLink.Macvlan(
                "other", Wire.link(wire.ofLeft).index(), NewLink.Macvlan.Mode.PRIVATE, VirtualLinks.mac(false, 51)));
        takeover().become(List.of(member(false, 150)));
        await("it is faulty", () -> notes.roles.contains(Role.FAULT));
        RouterStatus status = takeover().status().get(10, TimeUnit.SECONDS).getFirst();
        assertThat(status.why())
                .isEqualTo("the virtual MAC 00:00:5e:00:01:33 is not to be had on eth0: other has it, which is not this"
                        + " daemon's (ip link del other, where nobody needs it)");
        wire.ofLeft.deleteLink(wire.ofLeft.link("other").orElseThrow().index());
        await("it goes on by itself", () -> !places(VIP).isEmpty());
    }

    @Test
    void anInterfaceThatVanishesIsMadeAgain() throws Exception {
        takeover().become(List.of(member(false, 150)));
        await("it has the address", () -> !places(VIP).isEmpty());
        wire.ofLeft.deleteLink(carrier(false).orElseThrow().index());
        await("that is a fault", () -> notes.roles.contains(Role.FAULT));
        await("it has the address again", () -> !places(VIP).isEmpty());
        assertThat(notes.roles).endsWith(Role.FAULT, Role.BACKUP, Role.MASTER);
    }
}
