package io.ballast.core.config.reader;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.reader.ServiceSchema.ReadService;
import java.util.List;
import java.util.SequencedMap;

/** The keys at the top of {@code ballast.yaml}. */
final class RootSchema {
    static final Type<String> SERVICE_NAME = Types.name("a service");

    static final Key<String> NAME =
            Key.withDefault("name", Types.line("text"), "ballast", "The name of the whole, for people.", "farm");
    static final Key<SequencedMap<String, NodeSpec>> NODES = Key.optional(
            "nodes",
            Types.mapped(
                    Types.named("node names", Types.name("a node"), NodeSchema.NODE_OR_NOTHING),
                    NodeSchema::withoutSharedAddresses),
            "The machines by name. A name can stand for the machine's address wherever a server is meant.",
            "{ www1: { interfaces: { eth0: { addresses: [10.1.0.1/24] } } } }");
    static final Key<SequencedMap<String, CheckSpec>> CHECKS = Key.optional(
            "checks",
            Types.named("check names", Types.name("a check"), CheckSchema.CHECK),
            "Health checks by name, for services and servers to refer to. Written before `services`, they spare"
                    + " memory.",
            "{ page: { type: http, path: /index.html } }");
    static final Key<SequencedMap<String, VirtualRouterSpec>> VIRTUAL_ROUTERS = Key.optional(
            "virtual-routers",
            Types.mapped(
                    Types.named(
                            "names of virtual routers",
                            Types.name("a virtual router"),
                            VirtualRouterSchema.VIRTUAL_ROUTER),
                    VirtualRouterSchema::apart),
            "Addresses that several nodes share, by VRRP: one node has them, and another takes them over when it fails.",
            "{ front: { router-id: 51, addresses: [192.0.2.240/24], nodes: { director1: {}, director2: {} } } }");
    static final Key<SequencedMap<String, ReadService>> SERVICES = Key.required(
            "services",
            Types.named("service names", SERVICE_NAME, ServiceSchema.SERVICE),
            "The virtual services by name.",
            "{ web: { listen: 192.0.2.100:80, servers: [\"www1:80\"] } }");

    /** The whole, for the JSON Schema and the reference; the reader takes services one by one instead. */
    static final MapType<Integer> ROOT = new MapType<>(
            "description",
            "The whole service, the same file on every node.",
            List.of(NAME, NODES, VIRTUAL_ROUTERS, CHECKS, SERVICES),
            values -> 0);

    private RootSchema() {}
}
