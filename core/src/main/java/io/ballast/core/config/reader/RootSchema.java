package io.ballast.core.config.reader;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.ConnectionSyncSpec;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.QuorumSpec;
import io.ballast.core.config.ResourcesSpec;
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
    private static final Key<String> SYNC_KEY = Key.optional(
            "key",
            Types.secret("secret", "16 to 128 printable characters of ASCII", "[ -~]{16,128}"),
            "The secret by which the nodes know each other, the same on all; so the file should be root's alone. What they"
                    + " say to each other can be read on the network, but not changed.",
            "correct-horse-battery-staple");
    private static final Key<String> SYNC_KEY_FILE = Key.optional(
            "key-file",
            Types.path(),
            "In the place of `key`, a file with it, mode 600, on each node: 32 to 64 characters, or `hex:` and twice as many"
                    + " digits (`openssl rand -hex 32`). It is read again by `ballast reload`.",
            "/etc/ballast/connections.key");
    private static final Key<Integer> SYNC_PORT = Key.withDefault(
            "port",
            Types.integer(1, 65_535),
            "8848",
            "The port of TCP where each node listens for the others.",
            "8848");
    static final Key<ConnectionSyncSpec> CONNECTION_SYNC = Key.optional(
            "connection-sync",
            new MapType<>(
                    "connection-sync",
                    "Nodes that share addresses tell each other which connections of the engine xdp they have, so that these"
                            + " go on when an address is taken over.",
                    List.of(SYNC_KEY, SYNC_KEY_FILE, SYNC_PORT),
                    RootSchema::connectionSync),
            "Connections of the engine xdp go on when another node takes their address over.",
            "{ key: correct-horse-battery-staple }");
    static final Key<QuorumSpec> QUORUM = Key.optional(
            "quorum",
            QuorumSchema.QUORUM,
            "Addresses of virtual routers are a node's only while most of the voters say so: never two nodes, however the network"
                    + " is divided.",
            "{ voters: { director1: 192.168.6.2, director2: 192.168.6.3, witness: 192.168.6.9 }, key:"
                    + " correct-horse-battery-staple }");
    static final Key<SequencedMap<String, ResourcesSpec.GroupSpec>> RESOURCE_GROUPS = ResourcesSchema.GROUPS;
    static final Key<ResourcesSpec.FencingSpec> FENCING = ResourcesSchema.FENCING;
    static final Key<ResourcesSpec.WatchdogSpec> WATCHDOG = ResourcesSchema.WATCHDOG;
    static final Key<SequencedMap<String, ReadService>> SERVICES = Key.required(
            "services",
            Types.named("service names", SERVICE_NAME, ServiceSchema.SERVICE),
            "The virtual services by name.",
            "{ web: { listen: 192.0.2.100:80, servers: [\"www1:80\"] } }");

    /** The whole, for the JSON Schema and the reference; the reader takes services one by one instead. */
    static final MapType<Integer> ROOT = new MapType<>(
            "description",
            "The whole service, the same file on every node.",
            List.of(
                    NAME,
                    NODES,
                    VIRTUAL_ROUTERS,
                    CONNECTION_SYNC,
                    QUORUM,
                    RESOURCE_GROUPS,
                    FENCING,
                    WATCHDOG,
                    CHECKS,
                    SERVICES),
            values -> 0);

    private RootSchema() {}

    private static ConnectionSyncSpec connectionSync(Values v) {
        if (v.given(SYNC_KEY) == v.given(SYNC_KEY_FILE)) {
            v.error(
                    SYNC_KEY_FILE,
                    v.given(SYNC_KEY)
                            ? "the key is written beside it; leave one of them out"
                            : "the nodes need a common secret: write key-file, with the path of a file, or key");
        }
        return new ConnectionSyncSpec(v.find(SYNC_KEY), v.find(SYNC_KEY_FILE), v.get(SYNC_PORT));
    }
}
