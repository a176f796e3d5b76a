package io.ballast.core.config.reader;

import io.ballast.core.yaml.YamlDocument;
import org.jspecify.annotations.Nullable;

/**
 * One key of a map in {@code ballast.yaml}.
 *
 * @param name as written, kebab-case
 * @param required whether the map is wrong without it
 * @param fallback the default as it would be written; null where there is none
 * @param doc one or two sentences for the reference
 * @param example a value as it would be written; empty where the default or the type says enough
 */
record Key<T>(
        String name,
        Type<T> type,
        boolean required,
        @Nullable String fallback,
        String doc,
        String example) {

    static <T> Key<T> required(String name, Type<T> type, String doc, String example) {
        return new Key<>(name, type, true, null, doc, example);
    }

    static <T> Key<T> optional(String name, Type<T> type, String doc, String example) {
        return new Key<>(name, type, false, null, doc, example);
    }

    static <T> Key<T> withDefault(String name, Type<T> type, String fallback, String doc, String example) {
        return new Key<>(name, type, false, fallback, doc, example);
    }

    /** The default as a value; null where there is none. */
    @Nullable
    T fallbackValue() {
        if (fallback == null) {
            return null;
        }
        var problems = new Problems("default of " + name, new byte[0]);
        T value = type.read(YamlDocument.value(fallback), new Scope(problems));
        if (value == null || !problems.isEmpty()) {
            throw new IllegalStateException("the default of " + name + " is no " + type.label() + ": " + fallback);
        }
        return value;
    }
}
