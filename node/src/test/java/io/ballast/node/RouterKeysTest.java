package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ConnectionSyncSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.Authentication.Hmac;
import io.ballast.takeover.vrrp.Authentication.Mode;
import io.ballast.takeover.wire.Membership;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RouterKeysTest {
    @TempDir
    Path directory;

    private RouterKeys read(String more) {
        return RouterKeys.read(
                Objects.requireNonNull(description(more).virtualRouters().get("front")));
    }

    private static Description description(String more) {
        String text = """
                nodes:
                  d1: { interfaces: { eth0: { addresses: 192.0.2.1/24 } } }
                  d2: { interfaces: { eth0: { addresses: 192.0.2.2/24 } } }
                virtual-routers:
                  front: { router-id: 1, addresses: 192.0.2.240/24, nodes: { d1: , d2: }, %s }
                services: { web: { listen: "192.0.2.240:80", servers: ["192.0.2.11:80"] } }
                """.formatted(more);
        return new DescriptionReader().read("t", text).description().orElseThrow();
    }

    private Path file(String name, String mode, String content) throws IOException {
        Path file = Files.writeString(directory.resolve(name), content, StandardCharsets.UTF_8);
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(mode));
    }

    @Test
    void keysAreReadInTheirOrder() throws Exception {
        String hex = "00ff".repeat(16);
        Path one = file("one", "rw-------", "hex:" + hex + "\n");
        Path two = file("two", "r--------", "a".repeat(64));
        RouterKeys keys = read("hmac: { keys: [{ id: 2, file: " + two + " }, { id: 1, file: " + one
                + " }], mode: permissive, replay: monotonic }, interval: 3s");
        assertThat(keys.refused()).isEmpty();
        assertThat(keys.authentication())
                .isEqualTo(Authentication.of(new Hmac(
                        List.of(
                                new Authentication.Key(2, "a".repeat(64).getBytes(StandardCharsets.US_ASCII)),
                                new Authentication.Key(1, HexFormat.of().parseHex(hex))),
                        Mode.PERMISSIVE,
                        false,
                        9)));
        assertThat(keys.toString()).doesNotContain("aaaa", hex);
    }

    @Test
    void withoutThemThePasswordCounts() {
        assertThat(read("version: 2, password: \"mars\"").authentication()).isEqualTo(Authentication.password("mars"));
        assertThat(read("version: 2, password: \"mars\", authentication-header: true")
                        .authentication())
                .isEqualTo(Authentication.header("mars"));
        assertThat(read("version: 3").authentication()).isEqualTo(Authentication.NONE);
    }

    @Test
    void whatIsWrongWithAFileIsSaidWithoutTheKey() throws Exception {
        String secret = "feedbeef".repeat(8);
        Path open = file("open", "rw-r-----", secret);
        Path brief = file("brief", "rw-------", "feedbeef\n");
        Path odd = file("odd", "rw-------", "hex:" + secret + "x");
        for (List<String> each : List.of(
                List.of(open.toString(), "the key file " + open + " is open to others: chmod 600 " + open),
                List.of(brief.toString(), "the key in " + brief + " has 8 bytes, and has to have 32 to 64"),
                List.of(odd.toString(), "what is behind hex: in " + odd + " are not pairs of hexadecimal digits"),
                List.of("/nowhere/key", "there is no key file /nowhere/key: put the key there, mode 600"),
                List.of(directory.toString(), directory.toString()))) {
            RouterKeys keys = read("hmac: { keys: [{ id: 1, file: " + each.getFirst() + " }] }");
            assertThat(keys.refused())
                    .startsWith("its keys cannot be had: ")
                    .contains(each.getLast())
                    .doesNotContain("feedbeef");
            assertThat(keys.authentication()).isEqualTo(Authentication.NONE);
        }
    }

    @Test
    void theKeyOfConnectionSyncIsReadFromItsFile() throws Exception {
        Path key = file("key", "rw-------", "a".repeat(32) + "\n");
        ConnectionSyncSpec spec = new ConnectionSyncSpec(Optional.empty(), Optional.of(key.toString()), 8848);
        List<String> troubles = new ArrayList<>();
        assertThat(SyncDuty.secret(spec, Optional.empty(), troubles::add)).contains("61".repeat(32));
        assertThat(troubles).isEmpty();
        Files.setPosixFilePermissions(key, PosixFilePermissions.fromString("rw-r--r--"));
        assertThat(SyncDuty.secret(spec, Optional.empty(), troubles::add)).isEmpty();
        assertThat(SyncDuty.secret(spec, Optional.of("old"), troubles::add)).contains("old");
        assertThat(troubles)
                .containsExactly(
                        "directors do not tell each other of connections: the key file " + key
                                + " is open to others: chmod 600 " + key + ", then ballast reload",
                        "goes on with the key of connection-sync that it has: the key file " + key
                                + " is open to others: chmod 600 " + key + ", then ballast reload");
    }

    @Test
    void whereAFileIsGoneTheKeysOfBeforeStay() throws Exception {
        Path key = file("key", "rw-------", "a".repeat(64));
        Description description = description("hmac: { keys: [{ id: 1, file: " + key + " }] }");
        List<Membership> before = TakeoverDuty.members(description, "d1");
        Files.delete(key);
        List<String> warnings = new ArrayList<>();
        Membership without = TakeoverDuty.members(description, "d1").getFirst();
        assertThat(without.refused()).contains("there is no key file");
        assertThat(TakeoverDuty.withKeys(without, before, warnings::add)).isEqualTo(before.getFirst());
        assertThat(warnings).singleElement().asString().contains("goes on with the keys that it has", "no key file");
        // Who never had any cannot.
        assertThat(TakeoverDuty.withKeys(without, List.of(without), warnings::add))
                .isEqualTo(without);
        assertThat(TakeoverDuty.withKeys(without, List.of(), warnings::add)).isEqualTo(without);
        assertThat(warnings).hasSize(1);
    }
}
