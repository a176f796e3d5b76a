package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.NewLink;
import io.ballast.takeover.address.VirtualLinks;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** One of two nodes is FRR's vrrpd, which always has a virtual MAC; skipped where it is not installed. */
@Timeout(90)
class FrrTest {
    private static final long MS = 1_000_000;
    private static final Path FRR = Path.of("/usr/lib/frr");

    /** For {@code rwxrwxrwx}: FRR is no longer root when it writes there. */
    private static final String FOR_ALL = "rwxrwxrwx";

    @TempDir
    Path directory;

    private Wire wire;
    private final List<Process> processes = new ArrayList<>();
    private @Nullable RememberingNode node;

    @BeforeEach
    void plug() throws Exception {
        Assumptions.assumeTrue(Files.isExecutable(FRR.resolve("vrrpd")), "frr is not installed");
        wire = Wire.open();
        wire.ofRight.setUp(wire.ofRight.link("lo").orElseThrow().index(), true);
        wire.awaitLinkLocal();
    }

    @AfterEach
    void unplug() throws Exception {
        if (node != null) {
            node.takeover.close();
        }
        for (Process process : processes.reversed()) {
            end(process);
        }
        if (wire != null) {
            wire.close();
        }
    }

    private static void end(Process process) throws InterruptedException {
        process.destroy();
        if (!process.waitFor(10, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
    }

    private Process begin(String daemon, String configuration) throws Exception {
        Path file = Files.writeString(directory.resolve(daemon + ".conf"), configuration);
        Process begun = wire.right.call(() -> new ProcessBuilder(
                        FRR.resolve(daemon).toString(),
                        "-f",
                        file.toString(),
                        "-i",
                        directory.resolve(daemon + ".pid").toString(),
                        "-z",
                        directory.resolve("zserv.api").toString(),
                        "--vty_socket",
                        directory.toString(),
                        "-A",
                        "127.0.0.1",
                        "-P",
                        "0")
                .redirectErrorStream(true)
                .redirectOutput(directory.resolve(daemon + ".log").toFile())
                .start());
        processes.add(begun);
        return begun;
    }

    /** FRR uses a macvlan of the right Ethernet address that somebody else has made, with the address on it. */
    private Link carrier(Cidr vip, boolean ipv6) throws Exception {
        int below = wire.ofRight.link("eth0").orElseThrow().index();
        wire.ofRight.create(
                new NewLink.Macvlan("vrrp", below, NewLink.Macvlan.Mode.BRIDGE, VirtualLinks.mac(ipv6, 51)));
        Link link = wire.ofRight.link("vrrp").orElseThrow();
        Address address = Address.of(link.index(), vip.address(), vip.prefixLength());
        wire.ofRight.add(ipv6 ? address.withFlags(Set.of(Address.Flag.NODAD)) : address);
        wire.ofRight.setUp(link.index(), true);
        return link;
    }

    private Process beginFrr(Cidr vip, boolean ipv6) throws Exception {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString(FOR_ALL));
        begin("zebra", "");
        await("zebra listens", () -> Files.exists(directory.resolve("zserv.api")));
        return begin("vrrpd", """
                interface eth0
                 vrrp 51 version 3
                 vrrp 51 priority 100
                 vrrp 51 advertisement-interval 100
                 vrrp 51 %s %s
                """.formatted(ipv6 ? "ipv6" : "ip", vip.address().getHostAddress()));
    }

    private static Membership member(Cidr vip, int priority, boolean virtualMac) {
        return new Membership(
                "front",
                "eth0",
                3,
                51,
                priority,
                100 * MS,
                List.of(vip),
                true,
                0,
                List.of(),
                virtualMac,
                Checksum.PSEUDO_HEADER,
                Authentication.NONE,
                "",
                1000 * MS,
                5,
                0);
    }

    private boolean has(Cidr vip) throws IOException {
        return wire.ofLeft.addresses().stream()
                .anyMatch(address -> address.address().equals(vip.address()));
    }

    /** A backup of FRR holds its macvlan down. */
    private boolean frrHas() throws IOException {
        return wire.ofRight.link("vrrp").orElseThrow().running();
    }

    @ParameterizedTest
    @CsvSource({"192.0.2.100/24, false", "192.0.2.100/24, true", "2001:db8::100/64, false", "2001:db8::100/64, true"})
    void addressesMoveBothWays(String address, boolean virtualMac) throws Exception {
        boolean ipv6 = address.contains(":");
        Cidr vip = new Cidr(InetAddress.ofLiteral(address.substring(0, address.indexOf('/'))), ipv6 ? 64 : 24);
        carrier(vip, ipv6);
        Process frr = beginFrr(vip, ipv6);
        RememberingNode node = RememberingNode.real(wire.left);
        this.node = node;
        node.takeover.become(List.of(member(vip, 90, virtualMac)));
        await(
                "FRR is master",
                () -> frrHas()
                        && !node.status().peers().isEmpty()
                        && node.status().role() == Role.BACKUP);

        node.takeover.become(List.of(member(vip, 150, virtualMac)));
        await("this node is better", () -> has(vip) && !frrHas());

        node.takeover.manners(Map.of("front", Manner.WITHDRAWN));
        await("FRR takes them", () -> !has(vip) && frrHas());

        node.takeover.manners(Map.of("front", Manner.NORMAL));
        await("this node takes them back", () -> has(vip) && !frrHas());
        node.takeover.become(List.of(member(vip, 90, virtualMac)));
        await("FRR is better", () -> !has(vip) && frrHas());
        end(frr);
        await("FRR is gone", () -> has(vip));

        assertThat(node.status().discarded()).isEmpty();
        assertThat(node.notes.stream().filter(note -> !note.contains("real-time")))
                .isEmpty();
    }
}
