package io.ballast.director.realserver;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.xdp.MssClamping;
import java.net.InetAddress;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.function.Predicate;

/**
 * What a node has to be as a real server.
 *
 * @param addresses of services, which the node takes packets for and answers from
 * @param tunnelEnds its own addresses to which packets come inside others; empty where none do
 * @param answers whose clients have to leave room for the tunnel
 */
public record Part(Set<InetAddress> addresses, Set<InetAddress> tunnelEnds, Set<MssClamping.Answer> answers) {
    /** No real server, or one that is asked by its own address. */
    public static final Part NONE = new Part(Set.of(), Set.of(), Set.of());

    /**
     * The part of a node in a description.
     *
     * @param directs whether the node balances the service itself: then it has its address already
     */
    public static Part of(Collection<ServiceSpec> services, NodeSpec node, Predicate<ServiceSpec> directs) {
        Set<InetAddress> addresses = new LinkedHashSet<>();
        Set<InetAddress> tunnelEnds = new LinkedHashSet<>();
        Set<MssClamping.Answer> answers = new LinkedHashSet<>();
        for (ServiceSpec service : services) {
            if (!service.forwarding().keepsPort() || directs.test(service)) {
                continue;
            }
            service.servers().stream()
                    .flatMap(server -> Addresses.parse(server.address().host()).stream())
                    .filter(node::hasAddress)
                    .forEach(own -> {
                        service.listen().stream()
                                .map(Endpoint::address)
                                .filter(address -> !node.hasAddress(address))
                                .forEach(addresses::add);
                        if (service.forwarding() != ForwardingMethod.DR) {
                            tunnelEnds.add(own);
                            boolean gue = service.forwarding() == ForwardingMethod.GUE;
                            service.listen().stream()
                                    .filter(endpoint -> endpoint.protocol() == Endpoint.Protocol.TCP)
                                    .forEach(endpoint -> answers.add(new MssClamping.Answer(
                                            endpoint.address(), endpoint.single() ? endpoint.port() : 0, own, gue)));
                        }
                    });
        }
        return new Part(addresses, tunnelEnds, answers);
    }
}
