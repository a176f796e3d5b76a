package io.ballast.core.config.reader;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;

/** What {@code ballast.yaml} may contain: as JSON Schema for editors, and as the configuration reference for people. */
public final class DescriptionSchema {
    private DescriptionSchema() {}

    /** JSON Schema, draft 2020-12. */
    public static JsonObject jsonSchema() {
        var writer = new SchemaWriter();
        RootSchema.ROOT.jsonSchema(writer);
        JsonObject definitions = writer.definitions();
        var schema = new JsonObject();
        schema.addProperty("$schema", "https://json-schema.org/draft/2020-12/schema");
        schema.addProperty("title", "ballast.yaml");
        JsonObject root = definitions.remove(RootSchema.ROOT.name()).getAsJsonObject();
        root.entrySet().forEach(e -> schema.add(e.getKey(), e.getValue()));
        schema.add("$defs", definitions);
        return schema;
    }

    /** The JSON Schema as text. */
    public static String jsonSchemaText() {
        return new GsonBuilder()
                        .setPrettyPrinting()
                        .disableHtmlEscaping()
                        .create()
                        .toJson(jsonSchema()) + "\n";
    }

    /** The configuration reference in Markdown. */
    public static String markdown() {
        var text = new StringBuilder("""
                # Configuration reference

                Generated from the reader's own definition of the keys; `ballast schema` prints the same as JSON Schema.

                A description is one YAML 1.2 document. Keys that are not listed here are errors, and so are keys that
                stand twice in a map. Durations carry a unit (`100ms`, `3s`, `5m`, `1h`, `2d`), and so do sizes (`512B`,
                `64KiB`, `1MiB`). Booleans are `true` and `false` only. A text that looks like a number or a boolean, or
                contains `: ` or begins with one of `[ { * & ! | > % @`, needs quotes. Anchors and aliases work; merge
                keys (`<<`) and tags do not exist.
                """);
        var sections = new Sections();
        RootSchema.ROOT.visitMaps(sections);
        for (MapType<?> map : sections.maps) {
            section(text, "## ", map.name(), map.doc(), map.keys());
        }
        sections.variants.forEach(v -> variants(text, v));
        return text.toString();
    }

    private static final class Sections implements Type.MapVisitor {
        final List<MapType<?>> maps = new ArrayList<>();
        final List<VariantType<?>> variants = new ArrayList<>();
        private final Set<String> seen = new HashSet<>();

        @Override
        public void map(MapType<?> map) {
            if (seen.add(map.name())) {
                maps.add(map);
            }
        }

        @Override
        public void variants(VariantType<?> type) {
            if (seen.add(type.name())) {
                variants.add(type);
            }
        }
    }

    private static void variants(StringBuilder text, VariantType<?> type) {
        List<MapType<?>> all = new ArrayList<>(type.variants().values());
        List<Key<?>> common = new ArrayList<>(all.getFirst().keys());
        all.forEach(map -> common.retainAll(map.keys()));
        section(
                text,
                "## ",
                type.name(),
                "These keys, and those of its `" + type.discriminator() + "`: "
                        + String.join(
                                ", ",
                                type.variants().keySet().stream()
                                        .map(DescriptionSchema::typeLink)
                                        .toList())
                        + ".",
                common);
        SequencedMap<String, MapType<?>> nested = new LinkedHashMap<>();
        for (Map.Entry<String, ? extends MapType<?>> variant : type.variants().entrySet()) {
            List<Key<?>> own = variant.getValue().keys().stream()
                    .filter(key -> !common.contains(key) && !key.name().equals(type.discriminator()))
                    .toList();
            section(
                    text,
                    "### ",
                    "type: " + variant.getKey(),
                    variant.getValue().doc(),
                    own);
            var maps = new Sections();
            own.forEach(key -> key.type().visitMaps(maps));
            maps.maps.forEach(map -> nested.putIfAbsent(map.name(), map));
        }
        nested.values().forEach(map -> section(text, "### ", map.name(), map.doc(), map.keys()));
    }

    private static String typeLink(String type) {
        return "[" + type + "](#type-" + type + ")";
    }

    private static void section(StringBuilder text, String level, String title, String doc, List<Key<?>> keys) {
        text.append('\n').append(level).append(title).append("\n\n").append(doc).append('\n');
        if (keys.isEmpty()) {
            return;
        }
        text.append("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for (Key<?> key : keys) {
            String fallback = key.fallback();
            String otherwise = key.required() ? "required" : fallback == null ? "" : "`" + fallback + "`";
            String example = key.example().isEmpty() ? "" : " Example: `" + key.example() + "`";
            text.append("| `").append(key.name()).append("` | ");
            text.append(cell(key.type().markdown())).append(" | ");
            text.append(cell(otherwise)).append(" | ");
            text.append(cell(key.doc() + example)).append(" |\n");
        }
    }

    private static String cell(String text) {
        return text.replace("|", "\\|");
    }
}
