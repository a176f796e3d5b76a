package io.ballast.core.config.reader;

import io.ballast.core.yaml.Node;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The values of one map, as far as they could be read. */
final class Values {
    private final Key<?>[] keys;
    private final @Nullable Object[] defaults;
    private final @Nullable Object[] values;
    private final @Nullable Node[] nodes;
    private final Node map;
    private final Scope scope;
    private long broken;

    Values(Key<?>[] keys, @Nullable Object[] defaults, Node map, Scope scope) {
        this.keys = keys;
        this.defaults = defaults;
        this.values = new @Nullable Object[keys.length];
        this.nodes = new @Nullable Node[keys.length];
        this.map = map;
        this.scope = scope;
    }

    void put(int key, Node node, @Nullable Object value, boolean hasErrors) {
        nodes[key] = node;
        values[key] = value;
        broken |= hasErrors ? 1L << key : 0;
    }

    /** Whether there is an error in the value; what is left of it may be less than was written. */
    boolean broken(Key<?> key) {
        return (broken & 1L << index(key)) != 0;
    }

    boolean has(int key) {
        return values[key] != null;
    }

    @Nullable
    Node node(int key) {
        return nodes[key];
    }

    /** The value, else the default; only for keys that are required or have one. */
    <T> T get(Key<T> key) {
        return find(key).orElseThrow(() -> new IllegalStateException(key.name() + " has neither value nor default"));
    }

    /** The value, else the default where there is one. */
    @SuppressWarnings("unchecked") // put() stores what the key's own type read
    <T> Optional<T> find(Key<T> key) {
        int i = index(key);
        Object value = values[i] != null ? values[i] : defaults[i];
        return Optional.ofNullable((T) value);
    }

    /** Whether the file gives the key. */
    boolean given(Key<?> key) {
        return nodes[index(key)] != null;
    }

    /** Where the value stands; where it is not given, where the map does. */
    Node at(Key<?> key) {
        Node node = nodes[index(key)];
        return node == null ? map : node;
    }

    Scope scope() {
        return scope;
    }

    void error(Key<?> key, String message) {
        scope.enter(key.name());
        scope.error(at(key), message);
        scope.leave();
    }

    void warning(Key<?> key, String message) {
        scope.enter(key.name());
        scope.warning(at(key), message);
        scope.leave();
    }

    @SuppressWarnings("ReferenceEquality") // keys are constants, and comparing them by content would be slow
    private int index(Key<?> key) {
        for (int i = 0; i < keys.length; i++) {
            if (keys[i] == key) {
                return i;
            }
        }
        throw new IllegalArgumentException("no key of this map: " + key.name());
    }
}
