package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** One of two nodes is keepalived, which is skipped where it is not installed. */
@Timeout(90)
class KeepalivedTest {
    private static final long MS = 1_000_000;
    private static final Path KEEPALIVED = Path.of("/usr/sbin/keepalived");

    enum Way {
        V3("vrrp_version 3", "advert_int 0.1", "192.0.2.100/24"),
        V3_UNICAST(
                "vrrp_version 3",
                "advert_int 0.1\n unicast_src_ip 192.0.2.2\n unicast_peer {\n 192.0.2.1\n }",
                "192.0.2.100/24"),
        V2(
                "vrrp_version 2",
                "advert_int 1\n authentication {\n auth_type PASS\n auth_pass secret\n }",
                "192.0.2.100/24"),
        V2_HEADER(
                "vrrp_version 2",
                "advert_int 1\n authentication {\n auth_type AH\n auth_pass secret\n }",
                "192.0.2.100/24"),
        V3_VIRTUAL_MAC("vrrp_version 3", "advert_int 0.1\n use_vmac", "192.0.2.100/24"),
        IPV6_VIRTUAL_MAC("vrrp_version 3", "advert_int 0.1\n use_vmac", "2001:db8::100/64"),
        IPV6("vrrp_version 3", "advert_int 0.1", "2001:db8::100/64");

        private final String version;
        private final String instance;
        private final String address;

        Way(String version, String instance, String address) {
            this.version = version;
            this.instance = instance;
            this.address = address;
        }

        boolean isIpv6() {
            return this == IPV6 || this == IPV6_VIRTUAL_MAC;
        }

        boolean isVersion2() {
            return this == V2 || this == V2_HEADER;
        }

        boolean hasVirtualMac() {
            return this == V3_VIRTUAL_MAC || this == IPV6_VIRTUAL_MAC;
        }

        InetAddress vip() {
            return InetAddress.ofLiteral(address.substring(0, address.indexOf('/')));
        }
    }

    @TempDir
    Path directory;

    private Wire wire;
    private @Nullable Process keepalived;
    private @Nullable RememberingNode node;

    @BeforeEach
    void plug() throws Exception {
        Assumptions.assumeTrue(Files.isExecutable(KEEPALIVED), "keepalived is not installed");
        wire = Wire.open();
        wire.awaitLinkLocal();
    }

    @AfterEach
    void unplug() throws Exception {
        if (node != null) {
            node.takeover.close();
        }
        if (keepalived != null) {
            end(keepalived);
        }
        if (wire != null) {
            wire.close();
        }
    }

    private Process begin(Way way, int priority) throws Exception {
        Path file = Files.writeString(
                directory.resolve("keepalived.conf"), """
                global_defs {
                 %s
                }
                vrrp_instance front {
                 state BACKUP
                 interface eth0
                 virtual_router_id 51
                 priority %d
                 %s
                 virtual_ipaddress {
                  %s
                 }
                }
                """.formatted(way.version, priority, way.instance, way.address));
        Process begun = wire.right.call(() -> new ProcessBuilder(
                        KEEPALIVED.toString(),
                        "--dont-fork",
                        "--vrrp",
                        "--use-file=" + file,
                        "--pid=" + directory.resolve("pid"),
                        "--vrrp_pid=" + directory.resolve("vrrp.pid"))
                .redirectErrorStream(true)
                .redirectOutput(directory.resolve("log").toFile())
                .start());
        keepalived = begun;
        return begun;
    }

    /** In an orderly way: it leaves with priority 0. */
    private static void end(Process keepalived) throws Exception {
        keepalived.destroy();
        if (!keepalived.waitFor(10, TimeUnit.SECONDS)) {
            keepalived.descendants().forEach(ProcessHandle::destroyForcibly);
            keepalived.destroyForcibly().waitFor();
        }
    }

    private boolean keepalivedHas(Way way) throws IOException {
        return wire.ofRight.addresses().stream()
                .anyMatch(address -> address.address().equals(way.vip()));
    }

    private boolean has(RememberingNode node, Way way) throws IOException {
        if (!way.hasVirtualMac()) {
            return node.owns;
        }
        return wire.ofLeft.addresses().stream()
                .anyMatch(address -> address.address().equals(way.vip()));
    }

    private static Membership member(Way way, int priority) {
        return new Membership(
                "front",
                "eth0",
                way.isVersion2() ? 2 : 3,
                51,
                priority,
                way.isVersion2() ? 1000 * MS : 100 * MS,
                List.of(new Cidr(way.vip(), way.isIpv6() ? 64 : 24)),
                true,
                0,
                way == Way.V3_UNICAST ? List.of(InetAddress.ofLiteral("192.0.2.2")) : List.of(),
                way.hasVirtualMac(),
                Checksum.PSEUDO_HEADER,
                switch (way) {
                    case V2 -> Authentication.password("secret");
                    case V2_HEADER -> Authentication.header("secret");
                    default -> Authentication.NONE;
                },
                "",
                1000 * MS,
                5,
                0);
    }

    @ParameterizedTest
    @EnumSource(Way.class)
    void addressesMoveBothWays(Way way) throws Exception {
        Process peer = begin(way, 100);
        await("keepalived is master", () -> keepalivedHas(way));
        RememberingNode node = way.hasVirtualMac() ? RememberingNode.real(wire.left) : new RememberingNode(wire.left);
        this.node = node;
        node.takeover.become(List.of(member(way, 90)));
        await("it is heard", () -> node.status().master().isPresent());
        assertThat(node.status().role()).isEqualTo(Role.BACKUP);

        node.takeover.become(List.of(member(way, 150)));
        await("this node is better", () -> has(node, way) && !keepalivedHas(way));

        node.takeover.manners(Map.of("front", Manner.WITHDRAWN));
        await("keepalived takes them", () -> !has(node, way) && keepalivedHas(way));
        assertThat(node.status().transitions())
                .last()
                .satisfies(last -> assertThat(last.why()).endsWith("has taken over"));

        node.takeover.manners(Map.of("front", Manner.NORMAL));
        await("this node takes them back", () -> has(node, way) && !keepalivedHas(way));
        node.takeover.become(List.of(member(way, 90)));
        await("keepalived is better", () -> !has(node, way) && keepalivedHas(way));
        end(peer);
        await("keepalived is gone", () -> has(node, way) && !keepalivedHas(way));

        assertThat(node.status().discarded()).isEmpty();
        assertThat(node.notes).isEmpty();
        assertThat(node.takeover.leave(Duration.ofSeconds(20))).isTrue();
    }
}
