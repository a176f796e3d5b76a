package io.ballast.core.config.reader;

import com.google.gson.JsonObject;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Kind;
import io.ballast.core.yaml.Node.Scalar;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** A value that is written as one text or number. */
final class ScalarType<T> extends Type<T> {

    /** Reads a scalar that is there. */
    interface Reader<T> {
        /** The value, or null where {@code scope} has been told why it is none. */
        @Nullable
        T read(Scalar scalar, Scope scope);
    }

    private final String label;
    private final String expected;
    private final Supplier<JsonObject> schema;
    private final Reader<T> reader;

    /**
     * A scalar type.
     *
     * @param expected what to write, for messages: {@code a duration such as 3s}
     */
    ScalarType(String label, String expected, Supplier<JsonObject> schema, Reader<T> reader) {
        this.label = label;
        this.expected = expected;
        this.schema = schema;
        this.reader = reader;
    }

    @Override
    @Nullable
    T read(Node node, Scope scope) {
        if (node instanceof Scalar scalar && scalar.kind() != Kind.NULL) {
            return reader.read(scalar, scope);
        }
        scope.error(node, "expected " + expected + ", found " + describe(node));
        return null;
    }

    @Override
    String label() {
        return label;
    }

    @Override
    JsonObject jsonSchema(SchemaWriter writer) {
        return schema.get();
    }
}
