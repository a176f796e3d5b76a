package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class DoctorVerbTest {
    @Test
    void theListenQueueIsAsLongAsTheKernelSays() throws IOException {
        Process cat = new ProcessBuilder("cat", "/proc/sys/net/core/somaxconn").start();
        String length = new String(cat.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();

        JsonObject json =
                JsonParser.parseString(Console.run("doctor", "--json").out()).getAsJsonObject();

        assertThat(json.getAsJsonArray("findings"))
                .map(finding -> finding.getAsJsonObject())
                .filteredOn(finding -> Json.text(finding, "name").equals("listen queue"))
                .singleElement()
                .satisfies(finding -> assertThat(Json.text(finding, "value")).isEqualTo("up to " + length));
    }
}
