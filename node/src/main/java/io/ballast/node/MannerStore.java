package io.ballast.node;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.ballast.takeover.wire.Manner;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** What the operator wants of virtual routers, kept over restarts: who is in maintenance stays in it. */
final class MannerStore {
    private final Path file;

    MannerStore(Path file) {
        this.file = file;
    }

    /** What was kept, by virtual router; nothing where there is no file. */
    Map<String, Manner> load() throws IOException {
        try {
            Map<String, Manner> all = new LinkedHashMap<>();
            for (Map.Entry<String, JsonElement> each : JsonParser.parseString(Files.readString(file))
                    .getAsJsonObject()
                    .entrySet()) {
                String word = each.getValue().getAsString();
                all.put(
                        each.getKey(),
                        Manner.of(word).orElseThrow(() -> new IOException(file + " is damaged: \"" + word + "\"")));
            }
            return all;
        } catch (NoSuchFileException e) {
            return Map.of();
        } catch (JsonParseException | IllegalStateException | UnsupportedOperationException e) {
            throw new IOException(file + " is damaged: " + e.getMessage(), e);
        }
    }

    /** Keeps exactly this. */
    void save(Map<String, Manner> all) throws IOException {
        JsonObject json = new JsonObject();
        all.forEach((router, manner) -> {
            if (manner != Manner.NORMAL) {
                json.addProperty(router, manner.word());
            }
        });
        OverrideStore.replace(file, json);
    }
}
