package io.ballast.core.config.reader;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import io.ballast.core.yaml.Node.Scalar;
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

    /** A scalar as JSON, by YAML's rules for what is written without quotes. */
    static JsonElement literal(String yaml) {
        var scalar = new Scalar(0, 0, yaml, true);
        return switch (scalar.kind()) {
            case NULL -> JsonNull.INSTANCE;
            case BOOLEAN -> new JsonPrimitive(Boolean.valueOf(yaml));
            case INTEGER, FLOAT -> new JsonPrimitive(new BigDecimal(yaml));
            case TEXT -> new JsonPrimitive(yaml);
        };
    }
}
