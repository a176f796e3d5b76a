package io.ballast.node;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.director.ServerOverride;
import io.ballast.director.ServerOverride.Facts;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the operator changed at run time, kept in a file over restarts. The file is replaced in one step, and only after
 * the new one is on the disk, so whatever happens there is a whole one.
 */
final class OverrideStore {
    private static final Pattern PLACE = Pattern.compile("line \\d+ column \\d+");

    private final Path file;

    OverrideStore(Path file) {
        this.file = file;
    }

    /** What was kept, by service and server; nothing where there is no file. */
    Map<String, Map<String, ServerOverride>> load() throws IOException {
        String text;
        try {
            text = Files.readString(file);
        } catch (NoSuchFileException e) {
            return Map.of();
        }
        try {
            Map<String, Map<String, ServerOverride>> all = new LinkedHashMap<>();
            JsonObject services = JsonParser.parseString(text).getAsJsonObject().getAsJsonObject("services");
            for (Map.Entry<String, JsonElement> service : services.entrySet()) {
                Map<String, ServerOverride> servers = new LinkedHashMap<>();
                for (Map.Entry<String, JsonElement> server :
                        service.getValue().getAsJsonObject().entrySet()) {
                    JsonObject override = server.getValue().getAsJsonObject();
                    servers.put(
                            server.getKey(),
                            new ServerOverride(facts(override.get("described")), facts(override.get("wanted"))));
                }
                all.put(service.getKey(), servers);
            }
            return all;
        } catch (JsonParseException
                | IllegalStateException
                | IllegalArgumentException
                | NullPointerException
                | ClassCastException
                | UnsupportedOperationException e) {
            throw new IOException(file + " is damaged" + place(e) + setAside(), e);
        }
    }

    /** Where it is damaged, as far as the reader of JSON can tell. */
    private static String place(RuntimeException e) {
        Matcher place = PLACE.matcher(String.valueOf(e.getMessage()));
        return place.find() ? " (" + place.group() + ")" : "";
    }

    /** Keeps a copy, since the next change at run time writes the file anew. */
    private String setAside() {
        Path copy = file.resolveSibling(file.getFileName() + ".damaged");
        try {
            Files.copy(file, copy, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.COPY_ATTRIBUTES);
            return "; a copy is kept as " + copy;
        } catch (IOException e) {
            return "; no copy can be kept as " + copy + ": " + e.getMessage();
        }
    }

    private static Optional<Facts> facts(JsonElement json) {
        if (json.isJsonNull()) {
            return Optional.empty();
        }
        JsonObject facts = json.getAsJsonObject();
        return Optional.of(new Facts(
                new HostPort(facts.get("host").getAsString(), facts.get("port").getAsInt()),
                facts.get("weight").getAsInt(),
                facts.get("limit").getAsInt(),
                AdminState.valueOf(facts.get("state").getAsString().toUpperCase(Locale.ROOT))));
    }

    /** Keeps exactly this. */
    void save(Map<String, Map<String, ServerOverride>> all) throws IOException {
        JsonObject services = new JsonObject();
        all.forEach((service, overrides) -> {
            if (overrides.isEmpty()) {
                return;
            }
            JsonObject servers = new JsonObject();
            overrides.forEach((server, override) -> {
                JsonObject json = new JsonObject();
                json.add("described", json(override.described()));
                json.add("wanted", json(override.wanted()));
                servers.add(server, json);
            });
            services.add(service, servers);
        });
        JsonObject root = new JsonObject();
        root.addProperty("version", 1);
        root.add("services", services);
        replace(file, root);
    }

    /** Writes a file for its owner alone, in one step and only after it is on the disk. */
    static void replace(Path file, JsonObject root) throws IOException {
        Path fresh = file.resolveSibling(file.getFileName() + ".new");
        try (FileChannel channel = FileChannel.open(
                fresh,
                Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
            ByteBuffer bytes = ByteBuffer.wrap(root.toString().getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                int written = channel.write(bytes);
                assert written >= 0;
            }
            channel.force(true);
        }
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        try (FileChannel directory = FileChannel.open(file.toAbsolutePath().resolveSibling("."))) {
            // Without this the rename may be lost with the machine's power.
            directory.force(true);
        }
    }

    private static JsonElement json(Optional<Facts> facts) {
        return facts.<JsonElement>map(f -> {
                    JsonObject json = new JsonObject();
                    json.addProperty("host", f.address().host());
                    json.addProperty("port", f.address().port());
                    json.addProperty("weight", f.weight());
                    json.addProperty("limit", f.limit());
                    json.addProperty("state", f.state().yamlName());
                    return json;
                })
                .orElse(JsonNull.INSTANCE);
    }
}
