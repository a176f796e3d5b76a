package io.ballast.director.realserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RealServerTest {
    private static final InetAddress WEB = InetAddress.ofLiteral("192.0.2.100");
    private static final InetAddress MAIL = InetAddress.ofLiteral("192.0.2.101");
    private static final InetAddress WEB6 = InetAddress.ofLiteral("2001:db8::100");
    private static final String IGNORE = "net.ipv4.conf.all.arp_ignore";
    private static final String ANNOUNCE = "net.ipv4.conf.all.arp_announce";

    @TempDir
    private Path directory;

    private @Nullable NetworkNamespace namespace;

    @BeforeEach
    void setUp() {
        try {
            namespace = NetworkNamespace.create();
        } catch (IOException e) {
            Assumptions.abort("needs root: " + e.getMessage());
        }
    }

    @AfterEach
    void tearDown() throws IOException {
        if (namespace != null) {
            namespace.close();
        }
    }

    private <T> T inside(Callable<T> task) throws Exception {
        return Objects.requireNonNull(namespace).call(task);
    }

    private List<String> become(InetAddress... wanted) throws Exception {
        // A new one each time: what it knows is in the file.
        return inside(() -> new RealServer(directory.resolve("real-server.json")).become(Set.of(wanted)));
    }

    private List<String> state() throws Exception {
        return inside(() -> {
            List<String> all = new ArrayList<>();
            try (RouteNetlink netlink = RouteNetlink.open()) {
                for (Address address : netlink.addresses()) {
                    if (address.address().isLoopbackAddress()) {
                        continue;
                    }
                    all.add(address.address().getHostAddress() + "/" + address.prefixLength());
                }
            }
            all.add(Sysctl.read(IGNORE) + " " + Sysctl.read(ANNOUNCE));
            return all;
        });
    }

    @Test
    void whatWasPutThereIsTakenAwayAndNothingElse() throws Exception {
        assertThat(become()).isEmpty();
        assertThat(state()).containsExactly("0 0");
        assertThat(become(WEB)).containsExactly("takes packets for 192.0.2.100, as a real server of it");
        assertThat(become(WEB)).isEmpty();
        assertThat(state()).containsExactly("192.0.2.100/32", "1 2");
        assertThat(become(MAIL, WEB6)).hasSize(3);
        assertThat(state()).containsExactlyInAnyOrder("192.0.2.101/32", "2001:db8:0:0:0:0:0:100/128", "1 2");
        assertThat(become(WEB6)).containsExactly("no longer takes packets for 192.0.2.101");
        assertThat(state()).containsExactly("2001:db8:0:0:0:0:0:100/128", "0 0");
        assertThat(become()).hasSize(1);
        assertThat(state()).containsExactly("0 0");
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void whatSomebodyElseDidStays() throws Exception {
        inside(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                netlink.add(Address.of(1, WEB, 32));
            }
            return Sysctl.write(IGNORE, "2");
        });
        assertThat(become(WEB)).isEmpty();
        assertThat(state()).containsExactly("192.0.2.100/32", "2 2");
        become();
        assertThat(state()).containsExactly("192.0.2.100/32", "2 0");

        become(MAIL);
        inside(() -> Sysctl.write(ANNOUNCE, "1"));
        inside(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                netlink.remove(Address.of(1, MAIL, 32));
            }
            return "";
        });
        assertThat(become(MAIL)).as("given again").hasSize(1);
        assertThat(state()).containsExactlyInAnyOrder("192.0.2.100/32", "192.0.2.101/32", "2 2");
    }

    /** The file is written before the address is given, so it may name one that is not there. */
    @Test
    void aStartAfterACrashGoesOn() throws Exception {
        Files.writeString(
                directory.resolve("real-server.json"),
                "{\"addresses\":[\"192.0.2.100\"],\"settings\":[[\"" + IGNORE + "\",\"0\",\"1\"]]}");
        assertThat(become(WEB)).hasSize(1);
        assertThat(state()).containsExactly("192.0.2.100/32", "1 2");
        become();
        assertThat(state()).containsExactly("0 0");
    }

    @Test
    void aDamagedFileIsNotGuessedAt() throws Exception {
        for (String damaged : List.of("", "{}", "[1]", "{\"addresses\":[\"x\"],\"settings\":[]}", "{\"addresses\":")) {
            Files.writeString(directory.resolve("real-server.json"), damaged);
            assertThatThrownBy(() -> become(WEB))
                    .hasRootCauseInstanceOf(Exception.class)
                    .hasMessageContaining("is damaged");
        }
        assertThat(state()).containsExactly("0 0");
    }
}
