package io.ballast.core.config;

import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * One virtual service.
 *
 * @param listen where it answers; at least one
 * @param directors the nodes that balance it; empty means every node that has one of the listen addresses, and where
 *     no node has one, every node that runs the daemon
 * @param forwarding one that the engine has
 * @param persistence a client's connections lead to one server for a time; empty means they need not
 * @param source the address from which a director connects to the servers; empty lets the kernel choose
 * @param servers the real servers; may be empty where a sorry server is given
 * @param checks what a server must pass, all of them, to be given connections; empty means always up
 * @param sorry answers while no real server is up
 * @param quic how connection IDs of QUIC name the servers; empty where they do not
 * @param synCookies whether a director answers SYNs itself, of forwarding that translates addresses
 */
public record ServiceSpec(
        String name,
        List<Endpoint> listen,
        List<String> directors,
        SchedulerKind scheduler,
        EngineKind engine,
        ForwardingMethod forwarding,
        Optional<Persistence> persistence,
        Timeouts timeouts,
        Limits limits,
        ConnectRetry connectRetry,
        ProxyProtocol proxyProtocol,
        OnDown onDown,
        Optional<InetAddress> source,
        List<ServerSpec> servers,
        List<CheckSpec> checks,
        Optional<HostPort> sorry,
        NotifySpec hooks,
        Optional<Quic> quic,
        SynCookies synCookies) {

    /** Without SYN cookies. */
    public ServiceSpec(
            String name,
            List<Endpoint> listen,
            List<String> directors,
            SchedulerKind scheduler,
            EngineKind engine,
            ForwardingMethod forwarding,
            Optional<Persistence> persistence,
            Timeouts timeouts,
            Limits limits,
            ConnectRetry connectRetry,
            ProxyProtocol proxyProtocol,
            OnDown onDown,
            Optional<InetAddress> source,
            List<ServerSpec> servers,
            List<CheckSpec> checks,
            Optional<HostPort> sorry,
            NotifySpec hooks,
            Optional<Quic> quic) {
        this(
                name,
                listen,
                directors,
                scheduler,
                engine,
                forwarding,
                persistence,
                timeouts,
                limits,
                connectRetry,
                proxyProtocol,
                onDown,
                source,
                servers,
                checks,
                sorry,
                hooks,
                quic,
                SynCookies.OFF);
    }

    /** The port of a service that listens on one only, which its servers have where none is written; else 0. */
    public static int onePort(List<Endpoint> listen) {
        if (listen.isEmpty() || !listen.getFirst().single()) {
            return 0;
        }
        int port = listen.getFirst().port();
        return listen.stream().allMatch(e -> e.single() && e.port() == port) ? port : 0;
    }

    /**
     * The port that a check without one of its own asks at a server that has none either: the first single one of the
     * service in the check's protocol; 0 where the service has none, or the check asks no port.
     */
    public int portToAsk(ProbeSpec probe) {
        Optional<Endpoint.Protocol> protocol = probe.protocol();
        return listen.stream()
                .filter(endpoint -> endpoint.single() && protocol.equals(Optional.of(endpoint.protocol())))
                .map(Endpoint::port)
                .findFirst()
                .orElse(0);
    }

    /** Whether a check of the service would have no port to ask at a server of this address. */
    public boolean hasNoPortToAsk(CheckSpec check, HostPort server) {
        return server.port() == 0
                && check.port() == 0
                && check.host().map(HostPort::port).orElse(0) == 0
                && check.probe().protocol().isPresent()
                && portToAsk(check.probe()) == 0;
    }

    /**
     * Persistence by client address.
     *
     * @param timeout how long after its last connection a client is remembered
     * @param prefix4 IPv4 prefix length, 1 to 32, that makes clients one: 24 takes a /24 network as one client
     * @param prefix6 IPv6 prefix length, 1 to 128
     */
    public record Persistence(Duration timeout, int prefix4, int prefix6) {}

    /**
     * Time-outs; zero is not allowed.
     *
     * @param connect for the connection to a server, each attempt
     * @param idle a TCP connection without a byte in either direction ends after it
     * @param halfClosed the same once one side has closed
     * @param udp a UDP flow without a datagram ends after it
     * @param queue how long a connection may wait for a server below its limit
     * @param drain how long draining waits for connections to end by themselves
     */
    public record Timeouts(
            Duration connect, Duration idle, Duration halfClosed, Duration udp, Duration queue, Duration drain) {}

    /**
     * Limits of the service; 0 means none.
     *
     * @param connections connections at a time; more are not accepted and wait in the kernel's listen queue
     * @param queue connections that may wait while every server is at its limit; more are closed at once
     * @param backlog length of the kernel's listen queue; 0 takes the system's maximum (net.core.somaxconn)
     * @param connectionRate new connections a second; more are dropped
     * @param sourceConnectionRate the same of one client
     */
    public record Limits(int connections, int queue, int backlog, int connectionRate, int sourceConnectionRate) {
        /** Without limits of rates. */
        public Limits(int connections, int queue, int backlog) {
            this(connections, queue, backlog, 0, 0);
        }

        /** Whether new connections may come only so fast. */
        public boolean limitsRates() {
            return connectionRate > 0 || sourceConnectionRate > 0;
        }
    }

    /**
     * What happens when a server does not take a connection, before a byte of its answer has passed.
     *
     * @param attempts further servers that are tried; 0 means none
     * @param replayBytes when a server dies after it accepted, but before its first byte, what the client has sent so
     *     far is sent to another server, as long as it is no more than this; 0 means never. Right only where asking
     *     twice does no harm (idempotent requests)
     */
    public record ConnectRetry(int attempts, int replayBytes) {}

    /** The PROXY protocol toward the servers, which tells them the client's address. */
    public enum ProxyProtocol {
        /** None is sent. */
        OFF,
        /** Version 1, a line of text. */
        V1,
        /** Version 2, binary. */
        V2;

        /** The name in {@code ballast.yaml}. */
        public String yamlName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Whether a director answers SYNs by cookies, and opens a connection to a server when the client has proven itself. */
    public enum SynCookies {
        /** Never: servers see every SYN. */
        OFF,
        /** In a flood of SYNs. */
        AUTO,
        /** At any time. */
        ALWAYS;

        /** The name in {@code ballast.yaml}. */
        public String yamlName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** What happens to a server's established connections when its checks fail. */
    public enum OnDown {
        /** They go on: the check may be wrong, and a dead server's connections end by themselves. */
        KEEP,
        /** They are reset at once, so that clients try again. */
        RESET;

        /** The name in {@code ballast.yaml}. */
        public String yamlName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * Connection IDs by which a director finds the server of a QUIC connection, as draft-ietf-quic-load-balancers has
     * them: its servers make them, each with its {@link ServerSpec#quicId}.
     *
     * @param config the configuration's number, 0 to 6, which an ID begins with
     * @param serverIdLength bytes of a server's ID, 1 to 15
     * @param encryption empty where anybody may read them
     */
    public record Quic(int config, int serverIdLength, Optional<QuicEncryption> encryption) {
        /** IDs that anybody may read. */
        public Quic(int config, int serverIdLength) {
            this(config, serverIdLength, Optional.empty());
        }
    }

    /**
     * How connection IDs are encrypted, by AES-128.
     *
     * @param nonceLength bytes that follow a server's ID, 4 to 18
     * @param key 32 hexadecimal digits in lower case; a secret
     */
    public record QuicEncryption(int nonceLength, String key) {
        /** Without the key. */
        @Override
        public String toString() {
            return "nonce-length " + nonceLength + ", key ...";
        }
    }

    /**
     * Programs to run when something changes; each gets facts in BALLAST_* environment variables, and its exit is
     * written to the journal.
     */
    public record NotifySpec(
            Optional<String> serverUp,
            Optional<String> serverDown,
            Optional<String> serviceUp,
            Optional<String> serviceDown) {}
}
