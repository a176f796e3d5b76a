package io.ballast.lab.farm;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.ballast.cli.Failure;
import io.ballast.cli.Json;
import io.ballast.cli.control.ControlClient;
import java.net.InetAddress;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a node is in a virtual router, as its daemon says.
 *
 * @param role {@code master}, {@code backup}, {@code fault} and so on
 * @param addresses those of the virtual router, of one address family
 */
public record RouterRole(String router, boolean ipv6, String node, String role, Set<InetAddress> addresses) {
    /** Whether it has the addresses. */
    public boolean master() {
        return role.equals("master");
    }

    /** Those of a node; none where its daemon does not answer. */
    static List<RouterRole> of(String node, ControlClient daemon) {
        try {
            return Json.objects(daemon.get("/v1/takeover"), "routers").stream()
                    .map(router -> of(node, router))
                    .toList();
        } catch (Failure e) {
            return List.of(); // who is not there is nothing in any router
        }
    }

    private static RouterRole of(String node, JsonObject router) {
        Set<InetAddress> addresses = new LinkedHashSet<>();
        for (JsonElement cidr : router.getAsJsonArray("addresses")) {
            addresses.add(InetAddress.ofLiteral(cidr.getAsString().split("/", 2)[0]));
        }
        return new RouterRole(
                Json.text(router, "name"),
                Json.text(router, "family").equals("ipv6"),
                node,
                Json.text(router, "role"),
                addresses);
    }

    /** A line for each virtual router and address family: {@code front: director1 master, director2 backup}. */
    public static List<String> lines(List<RouterRole> all) {
        Map<String, String> lines = new LinkedHashMap<>();
        for (RouterRole role : all) {
            boolean both =
                    all.stream().anyMatch(other -> other.router().equals(role.router()) && other.ipv6() != role.ipv6());
            String name = role.router() + (!both ? "" : role.ipv6() ? " (IPv6)" : " (IPv4)");
            String what = role.node() + " " + role.role();
            lines.merge(name, name + ": " + what, (line, _) -> line + ", " + what);
        }
        return List.copyOf(lines.values());
    }
}
