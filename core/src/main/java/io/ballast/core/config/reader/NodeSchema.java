package io.ballast.core.config.reader;

import com.google.gson.JsonObject;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.NodeSpec.InterfaceSpec;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Kind;
import io.ballast.core.yaml.Node.Mapping;
import io.ballast.core.yaml.Node.Scalar;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/** The keys of a node and its interfaces. */
final class NodeSchema {
    private static final Key<List<Cidr>> ADDRESSES = Key.optional(
            "addresses",
            Types.oneOrMore(Types.cidr()),
            "The addresses of the interface, each with the length of its network prefix.",
            "[192.0.2.1/24, \"2001:db8::1/64\"]");
    private static final MapType<InterfaceSpec> INTERFACE = new MapType<>(
            "interface",
            "A network interface of a node.",
            List.of(ADDRESSES),
            v -> new InterfaceSpec(
                    v.scope().lastName(), List.copyOf(v.find(ADDRESSES).orElse(List.of()))));
    private static final Key<SequencedMap<String, InterfaceSpec>> INTERFACES = Key.optional(
            "interfaces",
            Types.named("interface names", Types.interfaceName(), INTERFACE),
            "The node's network interfaces by name. Only those that matter to a service need to be here.",
            "{ eth0: { addresses: [192.0.2.1/24] } }");
    static final MapType<NodeSpec> NODE = new MapType<>(
            "node",
            "A machine.",
            List.of(INTERFACES),
            v -> new NodeSpec(
                    v.scope().lastName(),
                    List.copyOf(v.find(INTERFACES).orElse(new LinkedHashMap<>()).values())));

    /** A node, of which only the name may be given. */
    static final Type<NodeSpec> NODE_OR_NOTHING = new Type<>() {
        @Override
        @Nullable
        NodeSpec read(Node node, Scope scope) {
            boolean nothing = node instanceof Scalar s && s.kind() == Kind.NULL;
            return NODE.read(nothing ? new Mapping(node.line(), node.column(), List.of(), 1) : node, scope);
        }

        @Override
        String label() {
            return "a map, or nothing";
        }

        @Override
        JsonObject jsonSchema(SchemaWriter writer) {
            return Types.anyOf(NODE.jsonSchema(writer), SchemaWriter.type("null"));
        }
    };

    private NodeSchema() {}
}
