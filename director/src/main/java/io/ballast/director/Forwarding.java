package io.ballast.director;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Optional;

/**
 * One virtual service as an engine is to forward it now: the description with the checks' results and the operator's
 * wishes already applied. Immutable; two equal ones mean the same forwarding.
 *
 * @param servers in the description's order, which some schedulers use to break ties
 * @param sorry answers while no server in {@code servers} is {@link ServerState#UP} with a weight above 0
 * @param source the address to connect to servers from
 * @param quic how connection IDs of QUIC name the servers; empty where they do not
 * @param engine {@link EngineKind#AUTO} where the node may choose; the method is then that of the engine xdp
 * @param synCookies of a method that translates addresses
 */
public record Forwarding(
        String service,
        List<Endpoint> listen,
        SchedulerKind scheduler,
        ForwardingMethod method,
        Optional<ServiceSpec.Persistence> persistence,
        ServiceSpec.Timeouts timeouts,
        ServiceSpec.Limits limits,
        ServiceSpec.ConnectRetry connectRetry,
        ServiceSpec.ProxyProtocol proxyProtocol,
        ServiceSpec.OnDown onDown,
        Optional<InetAddress> source,
        List<Server> servers,
        Optional<InetSocketAddress> sorry,
        Optional<ServiceSpec.Quic> quic,
        EngineKind engine,
        ServiceSpec.SynCookies synCookies) {

    /** One whose servers connection IDs do not name, of the engine that has the method. */
    public Forwarding(
            String service,
            List<Endpoint> listen,
            SchedulerKind scheduler,
            ForwardingMethod method,
            Optional<ServiceSpec.Persistence> persistence,
            ServiceSpec.Timeouts timeouts,
            ServiceSpec.Limits limits,
            ServiceSpec.ConnectRetry connectRetry,
            ServiceSpec.ProxyProtocol proxyProtocol,
            ServiceSpec.OnDown onDown,
            Optional<InetAddress> source,
            List<Server> servers,
            Optional<InetSocketAddress> sorry) {
        this(
                service,
                listen,
                scheduler,
                method,
                persistence,
                timeouts,
                limits,
                connectRetry,
                proxyProtocol,
                onDown,
                source,
                servers,
                sorry,
                Optional.empty());
    }

    /** Of the engine that has the method. */
    public Forwarding(
            String service,
            List<Endpoint> listen,
            SchedulerKind scheduler,
            ForwardingMethod method,
            Optional<ServiceSpec.Persistence> persistence,
            ServiceSpec.Timeouts timeouts,
            ServiceSpec.Limits limits,
            ServiceSpec.ConnectRetry connectRetry,
            ServiceSpec.ProxyProtocol proxyProtocol,
            ServiceSpec.OnDown onDown,
            Optional<InetAddress> source,
            List<Server> servers,
            Optional<InetSocketAddress> sorry,
            Optional<ServiceSpec.Quic> quic) {
        this(
                service,
                listen,
                scheduler,
                method,
                persistence,
                timeouts,
                limits,
                connectRetry,
                proxyProtocol,
                onDown,
                source,
                servers,
                sorry,
                quic,
                method == ForwardingMethod.PROXY ? EngineKind.USERSPACE : EngineKind.XDP,
                ServiceSpec.SynCookies.OFF);
    }

    /** The same by another engine. */
    public Forwarding by(EngineKind other, ForwardingMethod how) {
        return new Forwarding(
                service,
                listen,
                scheduler,
                how,
                persistence,
                timeouts,
                limits,
                connectRetry,
                proxyProtocol,
                onDown,
                source,
                servers,
                sorry,
                quic,
                other,
                synCookies);
    }

    /** The same with SYN cookies. */
    public Forwarding with(ServiceSpec.SynCookies cookies) {
        return new Forwarding(
                service,
                listen,
                scheduler,
                method,
                persistence,
                timeouts,
                limits,
                connectRetry,
                proxyProtocol,
                onDown,
                source,
                servers,
                sorry,
                quic,
                engine,
                cookies);
    }

    /**
     * One real server.
     *
     * @param name unique in the service, and the server's identity over changes
     * @param address resolved
     * @param weight 0 to 65535; 0 drains
     * @param limit connections at a time, 0 for none
     * @param quicId its ID in connection IDs of QUIC, hexadecimal digits in lower case
     */
    public record Server(
            String name, InetSocketAddress address, int weight, int limit, ServerState state, Optional<String> quicId) {

        /** One that connection IDs do not name. */
        public Server(String name, InetSocketAddress address, int weight, int limit, ServerState state) {
            this(name, address, weight, limit, state, Optional.empty());
        }
    }

    /** Whether a server may have connections. */
    public enum ServerState {
        /** New connections may come. */
        UP,
        /** Established connections go on without a time limit, as with weight 0; no new ones. */
        DRAINING,
        /** The operator took it out: no new connections, and what is left after the drain time-out is closed. */
        DISABLED,
        /** Its checks fail: no new connections, flows without a connection move, {@code onDown} says the rest. */
        DOWN
    }
}
