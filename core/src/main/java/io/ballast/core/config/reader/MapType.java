package io.ballast.core.config.reader;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Entry;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** A map with a fixed set of keys, which becomes one value. */
final class MapType<T> extends Type<T> {
    /** What a key is called behind which a secret stands. */
    private static final Pattern SECRET = Pattern.compile("(?i)secret|pass");

    /** Makes the value of a map whose required keys are all there. */
    interface Builder<T> {
        /** The value, or null where {@code values} has been told why there is none. */
        @Nullable
        T build(Values values);
    }

    /** Says more about a key that the map does not have; may answer with an empty text. */
    interface Hint {
        String about(String unknownKey);
    }

    private final String name;
    private final String doc;
    private final Key<?>[] keys;
    private final @Nullable Object[] defaults;
    private final Map<String, Integer> index = new HashMap<>();
    private final Builder<T> builder;
    private final Hint hint;

    /**
     * A map type.
     *
     * @param name for the reference and the schema, for instance {@code service}
     */
    MapType(String name, String doc, List<Key<?>> keys, Hint hint, Builder<T> builder) {
        this.name = name;
        this.doc = doc;
        this.keys = keys.toArray(Key<?>[]::new);
        this.defaults = new @Nullable Object[this.keys.length];
        for (int i = 0; i < this.keys.length; i++) {
            defaults[i] = this.keys[i].fallbackValue();
            index.put(this.keys[i].name(), i);
        }
        this.hint = hint;
        this.builder = builder;
    }

    MapType(String name, String doc, List<Key<?>> keys, Builder<T> builder) {
        this(name, doc, keys, unknown -> "", builder);
    }

    String name() {
        return name;
    }

    String doc() {
        return doc;
    }

    List<Key<?>> keys() {
        return List.of(keys);
    }

    /** The value of a map in which nothing is given; only for types without required keys. */
    T empty() {
        var problems = new Problems(name, new byte[0]);
        T value = read(new Node.Mapping(0, 0, List.of(), 1), new Scope(problems));
        if (value == null || !problems.isEmpty()) {
            throw new IllegalStateException("an empty " + name + " is no value: " + problems.list());
        }
        return value;
    }

    @Override
    @Nullable
    T read(Node node, Scope scope) {
        if (!(node instanceof Node.Mapping map)) {
            scope.error(node, "expected " + label() + ", found " + describe(node));
            return null;
        }
        Values values = values(map, scope);
        boolean complete = true;
        for (int i = 0; i < keys.length; i++) {
            if (keys[i].required() && !values.has(i)) {
                complete = false;
                if (values.node(i) == null) {
                    String example = keys[i].example().isEmpty()
                            ? ""
                            : ", for instance " + keys[i].name() + ": " + keys[i].example();
                    scope.error(node, quoted(keys[i].name()) + " is missing" + example);
                }
            }
        }
        return complete ? builder.build(values) : null;
    }

    private Values values(Node.Mapping map, Scope scope) {
        var values = new Values(keys, defaults, map, scope);
        for (Entry entry : map.entries()) {
            String key = entry.key().text();
            scope.enter(key);
            Integer i = index.get(key);
            if (i == null) {
                if (SECRET.matcher(key).find()) {
                    // In the wrong place, it is one all the same.
                    scope.problems().hide(entry.key().line());
                }
                scope.error(entry.key(), unknown(key));
            } else if (values.node(i) != null) {
                Node first = values.node(i);
                scope.error(entry.key(), "the key is here a second time" + (first == null ? "" : seen(first)));
            } else {
                Problems.Mark mark = scope.problems().mark();
                Object value = keys[i].type().read(entry.value(), scope);
                values.put(i, entry.value(), value, scope.problems().anyErrorSince(mark));
            }
            scope.leave();
        }
        return values;
    }

    private static String seen(Node first) {
        return "; the first is in line " + first.line();
    }

    /** What to say of a key that the map does not have. */
    String unknown(String key) {
        String near = Suggestions.didYouMean(key, index.keySet());
        String hinted = key.equals("<<")
                ? "; merge keys are YAML 1.1 and do not exist here"
                : near.isEmpty() ? hint.about(key) : near;
        return "unknown key " + quoted(key) + (hinted.isEmpty() ? "; known are " + String.join(", ", names()) : hinted);
    }

    private List<String> names() {
        return keys().stream().map(Key::name).toList();
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
        visitor.map(this);
        for (Key<?> key : keys) {
            key.type().visitMaps(visitor);
        }
    }

    @Override
    JsonObject jsonSchema(SchemaWriter writer) {
        return writer.define(name, () -> {
            var schema = new JsonObject();
            schema.addProperty("type", "object");
            schema.addProperty("description", doc);
            var properties = new JsonObject();
            var required = new JsonArray();
            for (Key<?> key : keys) {
                JsonObject property = key.type().jsonSchema(writer);
                property.addProperty("description", key.doc());
                if (key.fallback() != null) {
                    property.add("default", SchemaWriter.literal(key.fallback()));
                }
                if (!key.example().isEmpty()) {
                    var examples = new JsonArray();
                    examples.add(SchemaWriter.literal(key.example()));
                    property.add("examples", examples);
                }
                properties.add(key.name(), property);
                if (key.required()) {
                    required.add(key.name());
                }
            }
            schema.add("properties", properties);
            if (!required.isEmpty()) {
                schema.add("required", required);
            }
            schema.addProperty("additionalProperties", false);
            return schema;
        });
    }
}
