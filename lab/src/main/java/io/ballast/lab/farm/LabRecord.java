package io.ballast.lab.farm;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.ballast.lab.topology.Topology;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a lab has made, written down before it is made, so that whoever comes later can end it: the lab itself, {@code
 * ballast lab down}, or the next lab after this one was killed.
 *
 * @param kind how its nodes are kept apart
 * @param source the file that it was made from, for people
 * @param created when
 * @param owner the process that the lab must not outlive; empty for one that stays until {@code lab down}
 * @param namespaces their names
 * @param leaders the processes that it started, each the leader of a session of its own
 * @param ready whether it was once wholly up
 */
record LabRecord(
        Kind kind,
        String source,
        Instant created,
        Optional<ProcessId> owner,
        List<String> namespaces,
        List<Leader> leaders,
        boolean ready) {
    private static final String FILE = "lab.json";

    /** How nodes are kept apart. */
    enum Kind {
        /** A network namespace for each; needs root. */
        NAMESPACES,
        /** Each has an address of 127.0.0.0/8 of its own; for everybody. */
        LOOPBACK
    }

    /**
     * A process that the lab started.
     *
     * @param role what it does: {@code daemon}, {@code web}, {@code load}
     */
    record Leader(String node, String role, ProcessId id) {}

    static LabRecord of(Kind kind, String source, Optional<ProcessId> owner, List<String> namespaces) {
        return new LabRecord(kind, source, Instant.now(), owner, namespaces, List.of(), false);
    }

    LabRecord with(Leader leader) {
        List<Leader> all = new ArrayList<>(leaders);
        all.add(leader);
        return new LabRecord(kind, source, created, owner, namespaces, List.copyOf(all), ready);
    }

    LabRecord withReady() {
        return new LabRecord(kind, source, created, owner, namespaces, leaders, true);
    }

    /** Whether the lab belongs to a process that has ended without taking it away. */
    boolean orphaned() {
        return owner.map(o -> !o.alive()).orElse(false);
    }

    void write(Path directory) throws IOException {
        Path next = directory.resolve(FILE + ".new");
        Files.writeString(next, toJson() + "\n");
        Files.move(next, directory.resolve(FILE), StandardCopyOption.ATOMIC_MOVE);
    }

    /** The record in a lab's directory; empty where there is none. */
    static Optional<LabRecord> read(Path directory) throws IOException {
        Path file = directory.resolve(FILE);
        String text;
        try {
            text = Files.readString(file);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        try {
            return Optional.of(fromJson(JsonParser.parseString(text).getAsJsonObject()));
        } catch (JsonParseException | IllegalStateException | IllegalArgumentException | DateTimeException e) {
            throw new IOException(
                    file + ": not a lab's record (" + e.getMessage() + "); end its processes by hand and remove "
                            + directory,
                    e);
        }
    }

    private JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.addProperty("kind", kind.name());
        json.addProperty("source", source);
        json.addProperty("created", created.toString());
        owner.ifPresent(o -> json.add("owner", toJson(o)));
        JsonArray names = new JsonArray();
        namespaces.forEach(names::add);
        json.add("namespaces", names);
        JsonArray processes = new JsonArray();
        for (Leader leader : leaders) {
            JsonObject process = toJson(leader.id());
            process.addProperty("node", leader.node());
            process.addProperty("role", leader.role());
            processes.add(process);
        }
        json.add("processes", processes);
        json.addProperty("ready", ready);
        return json;
    }

    private static JsonObject toJson(ProcessId id) {
        JsonObject json = new JsonObject();
        json.addProperty("pid", id.pid());
        json.addProperty("start", id.start());
        return json;
    }

    private static LabRecord fromJson(JsonObject json) {
        List<String> namespaces = new ArrayList<>();
        json.getAsJsonArray("namespaces").forEach(n -> namespaces.add(n.getAsString()));
        List<Leader> leaders = new ArrayList<>();
        for (JsonElement element : json.getAsJsonArray("processes")) {
            JsonObject process = element.getAsJsonObject();
            leaders.add(new Leader(
                    process.get("node").getAsString(), process.get("role").getAsString(), processId(process)));
        }
        return new LabRecord(
                Kind.valueOf(json.get("kind").getAsString()),
                json.get("source").getAsString(),
                Instant.parse(json.get("created").getAsString()),
                Optional.ofNullable(json.getAsJsonObject("owner")).map(LabRecord::processId),
                List.copyOf(namespaces),
                List.copyOf(leaders),
                json.get("ready").getAsBoolean());
    }

    private static ProcessId processId(JsonObject json) {
        return new ProcessId(json.get("pid").getAsLong(), json.get("start").getAsLong());
    }

    /** Names of namespaces of a lab: {@code bl-LAB-NODE}, and {@code bl-LAB.switch} for its bridges. */
    static List<String> namespaces(String lab, Topology topology) {
        List<String> names = new ArrayList<>();
        names.add(switchNamespace(lab));
        topology.nodes().forEach(n -> names.add(namespace(lab, n.name())));
        return List.copyOf(names);
    }

    static String namespace(String lab, String node) {
        return "bl-" + lab + "-" + node;
    }

    static String switchNamespace(String lab) {
        return "bl-" + lab + ".switch";
    }
}
