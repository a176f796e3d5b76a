package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.director.ServerOverride;
import io.ballast.director.ServerOverride.Facts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OverrideStoreTest {
    @TempDir
    Path dir;

    @Test
    void whatIsKeptComesBack() throws IOException {
        OverrideStore store = new OverrideStore(dir.resolve("o.json"));
        assertThat(store.load()).isEmpty();
        Facts was = new Facts(new HostPort("fd00::1", 80), 1, 0, AdminState.ENABLED);
        Facts wish = new Facts(new HostPort("fd00::1", 80), 7, 3, AdminState.DRAIN);
        Map<String, Map<String, ServerOverride>> all = Map.of(
                "web",
                Map.of(
                        "www1", new ServerOverride(Optional.of(was), Optional.of(wish)),
                        "www2", new ServerOverride(Optional.of(was), Optional.empty()),
                        "www3", new ServerOverride(Optional.empty(), Optional.of(wish))));
        store.save(all);
        assertThat(store.load()).isEqualTo(all);
        store.save(Map.of());
        assertThat(store.load()).isEmpty();
    }

    @Test
    void aDamagedFileIsNamed() throws IOException {
        Path file = dir.resolve("o.json");
        for (String damaged :
                new String[] {"", "{", "[]", "{\"services\":{\"web\":{\"www1\":{}}}}", "{\"services\":1}"}) {
            Files.writeString(file, damaged);
            assertThatThrownBy(() -> new OverrideStore(file).load())
                    .isInstanceOf(IOException.class)
                    .hasMessageStartingWith(file + " is damaged")
                    .hasMessageEndingWith("a copy is kept as " + file + ".damaged")
                    .hasMessageNotContaining("Exception");
            assertThat(dir.resolve("o.json.damaged")).hasContent(damaged);
        }
    }

    @Test
    void aFileThatCannotBeWrittenLeavesTheOldOne() throws IOException {
        Path file = dir.resolve("o.json");
        OverrideStore store = new OverrideStore(file);
        store.save(Map.of());
        Files.createDirectory(dir.resolve("o.json.new"));
        assertThatThrownBy(() -> store.save(Map.of())).isInstanceOf(IOException.class);
        assertThat(store.load()).isEmpty();
    }
}
