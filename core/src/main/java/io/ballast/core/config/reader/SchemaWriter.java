package io.ballast.core.config.reader;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Mapping;
import io.ballast.core.yaml.Node.Scalar;
import io.ballast.core.yaml.Node.Sequence;
import io.ballast.core.yaml.YamlDocument;
import java.math.BigDecimal;
import java.util.function.Supplier;

/** Collects the named parts of a JSON Schema, so that each is written once. */
final class SchemaWriter {
    private final JsonObject definitions = new JsonObject();

    /** A reference to the part of this name, which is made where it is not there yet. */
    JsonObject define(String name, Supplier<JsonObject> part) {
        String key = name.replace(' ', '-');
        if (!definitions.has(key)) {
            definitions.add(key, new JsonObject());
            definitions.add(key, part.get());
        }
        var reference = new JsonObject();
        reference.addProperty("$ref", "#/$defs/" + key);
        return reference;
    }

    JsonObject definitions() {
        return definitions;
    }

    /** A schema of one type. */
    static JsonObject type(String type) {
        var schema = new JsonObject();
        schema.addProperty("type", type);
        return schema;
    }

    /** A text with a pattern. */
    static JsonObject pattern(String pattern) {
        JsonObject schema = type("string");
        schema.addProperty("pattern", pattern);
        return schema;
    }

    /** A value as JSON. */
    static JsonElement literal(String yaml) {
        return json(YamlDocument.value(yaml));
    }

    private static JsonElement json(Node node) {
        return switch (node) {
            case Mapping map -> {
                var object = new JsonObject();
                map.entries().forEach(e -> object.add(e.key().text(), json(e.value())));
                yield object;
            }
            case Sequence list -> {
                var array = new JsonArray();
                list.items().forEach(item -> array.add(json(item)));
                yield array;
            }
            case Scalar scalar ->
                switch (scalar.kind()) {
                    case NULL -> JsonNull.INSTANCE;
                    case BOOLEAN -> new JsonPrimitive(scalar.text().equalsIgnoreCase("true"));
                    case INTEGER, FLOAT -> new JsonPrimitive(new BigDecimal(scalar.text()));
                    case TEXT -> new JsonPrimitive(scalar.text());
                };
        };
    }
}
