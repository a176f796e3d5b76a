package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.ballast.core.config.Problem;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FilesTest {
    @TempDir
    Path directory;

    private String read(Path file) {
        return new DescriptionReader()
                .read(file).problems().stream().map(Object::toString).toList().toString();
    }

    @Test
    void aFileThatIsNotThere() {
        Path file = directory.resolve("none.yaml");
        assertThat(read(file)).isEqualTo("[" + file + ": error: no such file]");
    }

    @Test
    void aDirectory() {
        assertThat(read(directory)).isEqualTo("[" + directory + ": error: is a directory; name the file in it]");
    }

    @Test
    void aFileThatMayNotBeRead() throws IOException {
        Path file = directory.resolve("secret.yaml");
        Files.writeString(file, "name: a");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("---------"));
        boolean root = Files.isReadable(file);
        if (root) {
            System.out.println("not run: root may read every file");
        }
        assumeFalse(root, "root may read every file");
        assertThat(read(file)).endsWith("error: not allowed to read the file; check its owner and mode]");
    }

    @Test
    void aSecretThatEverybodyCanReadIsWarnedOf() throws IOException {
        Path file = directory.resolve("farm.yaml");
        Files.writeString(file, """
                services:
                  web:
                    listen: 192.0.2.100:443/udp
                    engine: xdp
                    quic: { key: "8f95f09245765f80256934e50c66207f", nonce-length: 14 }
                    servers: [{ address: "10.1.0.1:443", quic-id: "0a01" }]
                """);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
        assertThat(read(file))
                .isEqualTo(
                        "[" + file + ": warning: services.web.quic.key: is a secret, and everybody on this machine can"
                                + " read the file: chmod 600 " + file + "]");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        assertThat(read(file)).isEqualTo("[]");
        Files.writeString(directory.resolve("shared.yaml"), """
                nodes:
                  d1: { interfaces: { eth0: { addresses: 192.0.2.1/24 } } }
                  d2: { interfaces: { eth0: { addresses: 192.0.2.2/24 } } }
                virtual-routers:
                  front: { router-id: 1, addresses: 192.0.2.9/24, nodes: { d1: , d2: }, version: 2, password: mars }
                services:
                  web: { listen: "192.0.2.9:80", servers: ["192.0.2.11:80"] }
                """);
        assertThat(read(directory.resolve("shared.yaml")))
                .contains("warning: virtual-routers.front.password: is a secret");
        Files.writeString(file, Files.readString(file).replaceFirst("key: .*nonce-length: 14", ""));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
        assertThat(read(file)).as("nothing secret in it").isEqualTo("[]");
    }

    @Test
    void aHugeFileIsRefusedBeforeItFillsTheMemory() throws IOException {
        Path file = directory.resolve("huge.yaml");
        try (var huge = new RandomAccessFile(file.toFile(), "rw")) {
            huge.setLength(100L << 30);
        }
        assertThat(read(file)).endsWith("error: is larger than 16 MiB]");
    }

    @Test
    void aHugeLineIsRefused() throws IOException {
        Path file = directory.resolve("line.yaml");
        Files.writeString(file, "name: " + "a".repeat(3 << 20));
        assertThat(read(file)).contains("a line of more than 1 MiB");
    }

    @Test
    void aHugeTextIsRefused() {
        String text = "name: >\n" + ("  " + "a".repeat(1000) + "\n").repeat(200);
        assertThat(new DescriptionReader().read("t", text).problems())
                .singleElement()
                .satisfies(p -> assertThat(p.message()).startsWith("a text of more than 65536 characters"));
    }

    @Test
    void aliasesThatMultiplyAreStopped() {
        var text = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for (int i = 1; i < 12; i++) {
            String below = "*a" + (i - 1);
            text.append("a%d: &a%d [%s]\n".formatted(i, i, String.join(", ", java.util.Collections.nCopies(9, below))));
        }
        assertThat(new DescriptionReader().read("t", text.toString()).problems())
                .last()
                .satisfies(p -> assertThat(p.message()).isEqualTo("aliases multiply to more than 1000000 values"));
    }

    @Test
    void aTextFullOfUnknownKeysIsNotReadToItsEnd() {
        var text = new StringBuilder("services:\n  a: { listen: \"127.0.0.1:1\", servers: [10.0.0.1:80] }\n");
        for (int i = 0; i < 100_000; i++) {
            text.append("k").append(i).append(": 1\n");
        }
        List<Problem> problems =
                new DescriptionReader().read("t", text.toString()).problems();
        assertThat(problems).hasSize(Problems.MAX_SHOWN + 1);
        assertThat(problems.getLast().message()).isEqualTo("and 900 more problems like these; the rest was not read");
    }

    @Test
    void aServiceOfTooManyValuesIsRefused() {
        String text = "services:\n  a:\n    listen: 127.0.0.1:1\n    servers:\n" + "    - [a,a,a,a]\n".repeat(60_000);
        assertThat(new DescriptionReader().read("t", text).problems())
                .last()
                .satisfies(p -> assertThat(p.message())
                        .isEqualTo("more than 250000 values in one entry; divide it into several"));
    }

    @Test
    void anchorsAreNotKeptWithoutEnd() {
        var text = new StringBuilder();
        for (int i = 0; i < 4; i++) {
            text.append("checks")
                    .append(i)
                    .append(": &a")
                    .append(i)
                    .append(" [")
                    .append("1,".repeat(100_000))
                    .append("]\n");
        }
        assertThat(new DescriptionReader().read("t", text.toString()).problems())
                .last()
                .satisfies(p -> assertThat(p.message()).isEqualTo("anchors (&) name more than 250000 values"));
    }

    @Test
    void narrowerLimitsAreToldWithTheirReason() {
        var limits = new DescriptionReader.Limits(1024, 3, "the heap is 1 MiB; give it more");
        String text = "services:\n  a: { listen: \"127.0.0.1:1\", servers: [10.0.0.1:80, 10.0.0.2:80] }\n";
        assertThat(new DescriptionReader(limits).read("t", text).problems()).isEmpty();
        assertThat(new DescriptionReader(limits)
                        .read("t", text.replace("]", ", 10.0.0.3:80]"))
                        .problems())
                .singleElement()
                .satisfies(p -> assertThat(p.message())
                        .isEqualTo("more than 3 services and servers in one description:"
                                + " the heap is 1 MiB; give it more"));
        assertThat(new DescriptionReader(limits)
                        .read("t", text + "#".repeat(1024))
                        .problems())
                .singleElement()
                .satisfies(p ->
                        assertThat(p.message()).isEqualTo("is larger than 1 KiB: the heap is 1 MiB; give it more"));
    }

    @Test
    void aChangeDoesNotGetAroundTheLimits() {
        var reader = new DescriptionReader(new DescriptionReader.Limits(4096, 4, ""));
        String text = "services:\n  a:\n    listen: 127.0.0.1:1\n    servers: [10.0.0.1:80]\n";
        assertThat(reader.read("t", text).problems()).isEmpty();
        assertThat(reader.read("t", text.replace("]", ", 10.0.0.2:80, 10.0.0.3:80, 10.0.0.4:80]"))
                        .problems())
                .hasSize(1);
    }

    @Test
    void anAliasSavesWriting() {
        String text = """
                services:
                  a:
                    listen: 127.0.0.1:1
                    checks: &checks [{ type: tcp, interval: 2s }]
                    servers: &servers [10.0.0.1:80, 10.0.0.2:80]
                  b: { listen: "127.0.0.1:2", checks: *checks, servers: *servers }
                """;
        ReadResult result = new DescriptionReader().read("t", text);
        assertThat(result.problems()).isEmpty();
        var services = result.description().orElseThrow().services();
        assertThat(services.get("b"))
                .extracting(s -> s.servers(), s -> s.checks())
                .containsExactly(
                        services.firstEntry().getValue().servers(),
                        services.firstEntry().getValue().checks());
    }

    @Test
    void aByteOrderMarkAndWindowsLineEndsAreNoMistake() {
        String text = "\uFEFFservices:\r\n  a:\r\n    listen: 127.0.0.1:1\r\n    servers: [10.0.0.1:80]\r\n";
        ReadResult result = new DescriptionReader().read("t", text);
        assertThat(result.problems()).isEmpty();
    }
}
