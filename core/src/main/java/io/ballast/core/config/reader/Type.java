package io.ballast.core.config.reader;

import com.google.gson.JsonObject;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Scalar;
import org.jspecify.annotations.Nullable;

/**
 * What a value in {@code ballast.yaml} may be. The same object reads it, says in JSON Schema what it accepts, and names
 * itself in the reference, so that the three cannot differ.
 */
abstract class Type<T> {
    private static final int SHOWN = 60;

    /** The value, or null where it is none and {@code scope} has been told why. */
    abstract @Nullable T read(Node node, Scope scope);

    /** What it is in a few words, for the reference. */
    abstract String label();

    /** The same for the reference, with a link where more is said elsewhere. */
    String markdown() {
        return label();
    }

    /** Visits the maps that are part of it. */
    void visitMaps(MapVisitor visitor) {}

    /** Is shown every kind of map, for the reference. */
    interface MapVisitor {
        /** A map with fixed keys. */
        void map(MapType<?> map);

        /** A map whose keys depend on the value of one of them. */
        void variants(VariantType<?> variants);
    }

    /** What it accepts, as far as JSON Schema can say it. */
    abstract JsonObject jsonSchema(SchemaWriter writer);

    /** What somebody wrote, in words. */
    static String describe(Node node) {
        return switch (node) {
            case Node.Mapping m -> "a map";
            case Node.Sequence s -> "a list";
            case Scalar s ->
                switch (s.kind()) {
                    case NULL -> "nothing";
                    case BOOLEAN -> "the boolean " + s.text();
                    case INTEGER, FLOAT -> "the number " + shown(s.text());
                    case TEXT -> quoted(s.text());
                };
        };
    }

    static String quoted(String text) {
        return '"' + shown(text) + '"';
    }

    /** A text that is safe and short enough for a message. */
    static String shown(String text) {
        int end = text.length() <= SHOWN ? text.length() : text.offsetByCodePoints(0, SHOWN / 2);
        var safe = new StringBuilder();
        text.substring(0, end).codePoints().forEach(c -> {
            if (Character.isISOControl(c) || !Character.isDefined(c) || Character.getType(c) == Character.FORMAT) {
                safe.append("\\u%04x".formatted(c));
            } else {
                safe.appendCodePoint(c);
            }
        });
        return end < text.length() ? safe + "..." : safe.toString();
    }
}
