package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.lab.farm.LabRecord.Kind;
import io.ballast.lab.farm.LabRecord.Leader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecordsTest {
    @TempDir
    Path directory;

    @Test
    void aCommandMayHoldAnything() {
        String fields = " S 17 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        ProcessId.Stat stat = ProcessId.parse(42, "42 (a ) b)" + fields);
        assertThat(stat).isEqualTo(new ProcessId.Stat(new ProcessId(42, 987654), 'S', 17, 40));
        assertThat(stat.zombie()).isFalse();
    }

    @Test
    void thisProcessLivesAndALaterOneOfItsNumberIsAnother() {
        ProcessId self = ProcessId.self();
        assertThat(self.alive()).isTrue();
        assertThat(new ProcessId(self.pid(), self.start() + 1).alive()).isFalse();
    }

    @Test
    void theRecordSurvivesTheFile() throws Exception {
        LabRecord record = LabRecord.of(
                        Kind.NAMESPACES, "farm.yaml", Optional.of(ProcessId.self()), List.of("bl-x.switch", "bl-x-a"))
                .with(new Leader("a", "daemon", new ProcessId(7, 8)));
        record.write(directory);
        assertThat(LabRecord.read(directory)).contains(record);
        assertThat(record.orphaned()).isFalse();
        assertThat(LabRecord.of(Kind.LOOPBACK, "", Optional.of(new ProcessId(1, 1)), List.of())
                        .orphaned())
                .isTrue();
        assertThat(LabRecord.read(directory.resolve("nothing"))).isEmpty();
        Files.writeString(directory.resolve("lab.json"), "{\"kind\":\"LOOPBACK\",\"so");
        assertThatThrownBy(() -> LabRecord.read(directory))
                .hasMessageContaining("lab.json: not a lab's record")
                .hasMessageContaining("remove " + directory);
    }

    @Test
    void listeningSocketsAreReadInTheMachinesOrder() {
        assertThat(ListeningSockets.parse("0100007F:1F90", ByteOrder.LITTLE_ENDIAN))
                .isEqualTo(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 8080));
        assertThat(ListeningSockets.parse("7F000001:0050", ByteOrder.BIG_ENDIAN))
                .isEqualTo(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 80));
        assertThat(ListeningSockets.parse("090000FD000000000000000000010000:0050", ByteOrder.LITTLE_ENDIAN))
                .isEqualTo(new InetSocketAddress(InetAddress.ofLiteral("fd00:9:0:0:0:0:0:100"), 80));
    }

    @Test
    void aSocketOfThisProcessIsSeenListening() throws Exception {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
            assertThat(ListeningSockets.inNetworkOf(ProcessHandle.current().pid()))
                    .contains(new InetSocketAddress(socket.getInetAddress(), socket.getLocalPort()));
        }
    }
}
