package io.ballast.core.config.reader;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Entry;
import io.ballast.core.yaml.Node.Scalar;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/** A map whose keys depend on the value of one of them. */
final class VariantType<T> extends Type<T> {
    private final String name;
    private final String discriminator;
    private final SequencedMap<String, MapType<T>> variants;

    VariantType(String name, String discriminator, SequencedMap<String, MapType<T>> variants) {
        this.name = name;
        this.discriminator = discriminator;
        this.variants = variants;
    }

    String name() {
        return name;
    }

    String discriminator() {
        return discriminator;
    }

    SequencedMap<String, MapType<T>> variants() {
        return variants;
    }

    @Override
    @Nullable
    T read(Node node, Scope scope) {
        if (!(node instanceof Node.Mapping map)) {
            scope.error(node, "expected a map with the key " + quoted(discriminator) + ", found " + describe(node));
            return null;
        }
        String known = String.join(", ", variants.keySet());
        for (Entry entry : map.entries()) {
            if (entry.key().text().equals(discriminator)) {
                MapType<T> variant = entry.value() instanceof Scalar s ? variants.get(s.text()) : null;
                if (variant != null) {
                    return variant.read(node, scope);
                }
                scope.enter(discriminator);
                String near =
                        entry.value() instanceof Scalar s ? Suggestions.didYouMean(s.text(), variants.keySet()) : "";
                scope.error(entry.value(), describe(entry.value()) + " is none of " + known + near);
                scope.leave();
                return null;
            }
        }
        map.entries().stream().filter(e -> e.key().text().equals("<<")).forEach(e -> {
            scope.enter("<<");
            scope.error(e.key(), variants.firstEntry().getValue().unknown("<<"));
            scope.leave();
        });
        scope.error(node, quoted(discriminator) + " is missing; it is one of " + known);
        return null;
    }

    @Override
    String label() {
        return "a map";
    }

    @Override
    String markdown() {
        return "[" + name + "](#" + name.replace(' ', '-') + ")";
    }

    @Override
    void visitMaps(MapVisitor visitor) {
        visitor.variants(this);
    }

    @Override
    JsonObject jsonSchema(SchemaWriter writer) {
        return writer.define(name, () -> {
            var schema = SchemaWriter.type("object");
            var required = new JsonArray();
            required.add(discriminator);
            schema.add("required", required);
            var all = new JsonArray();
            var words = new JsonArray();
            variants.forEach((word, variant) -> {
                words.add(word);
                var equal = new JsonObject();
                equal.addProperty("const", word);
                var property = new JsonObject();
                property.add(discriminator, equal);
                JsonObject condition = new JsonObject();
                condition.add("properties", property);
                var rule = new JsonObject();
                rule.add("if", condition);
                rule.add("then", variant.jsonSchema(writer));
                all.add(rule);
            });
            var any = new JsonObject();
            any.add("enum", words);
            var properties = new JsonObject();
            properties.add(discriminator, any);
            schema.add("properties", properties);
            schema.add("allOf", all);
            return schema;
        });
    }
}
