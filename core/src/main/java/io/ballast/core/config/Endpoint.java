package io.ballast.core.config;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Locale;

/**
 * Where a virtual service listens: {@code address:port/proto}, an IPv6 address in brackets; or at a range of ports,
 * {@code address:8000-8999/proto}, or at all that no other endpoint has, {@code address:*}{@code /proto}.
 *
 * @param address a literal address; never resolved by name
 * @param firstPort 1 to 65535
 * @param lastPort the same where it is a single port
 */
public record Endpoint(InetAddress address, int firstPort, int lastPort, Protocol protocol) {
    /** The highest port. */
    public static final int MAX_PORT = 65_535;

    /** The transport protocol of an endpoint. */
    public enum Protocol {
        /** A byte stream, one connection at a time. */
        TCP,
        /** Datagrams, grouped into flows by client address and port. */
        UDP;

        /** The name in {@code ballast.yaml}. */
        public String yamlName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Checks the ports. */
    public Endpoint {
        if (firstPort < 1 || lastPort < firstPort || lastPort > MAX_PORT) {
            throw new IllegalArgumentException("no ports: " + firstPort + " to " + lastPort);
        }
    }

    /** A single port. */
    public Endpoint(InetAddress address, int port, Protocol protocol) {
        this(address, port, port, protocol);
    }

    /** Whether it is one port. */
    public boolean single() {
        return firstPort == lastPort;
    }

    /** Whether it is every port of the address, without those that other endpoints have. */
    public boolean everyPort() {
        return firstPort == 1 && lastPort == MAX_PORT;
    }

    /**
     * The port of a {@link #single} one.
     *
     * @throws IllegalStateException it is a range, of which no port stands for the others
     */
    public int port() {
        if (!single()) {
            throw new IllegalStateException(this + " is more than one port");
        }
        return firstPort;
    }

    /** Whether it has the port. */
    public boolean has(int port) {
        return firstPort <= port && port <= lastPort;
    }

    /** Whether both have an address, protocol and port in common. */
    public boolean overlaps(Endpoint other) {
        return protocol == other.protocol
                && firstPort <= other.lastPort
                && other.firstPort <= lastPort
                && address.equals(other.address);
    }

    /** The address and port for a socket, of a {@link #single} one. */
    public InetSocketAddress socketAddress() {
        return new InetSocketAddress(address, port());
    }

    /** Whether the address is an IPv6 one. */
    public boolean ipv6() {
        return address instanceof Inet6Address;
    }

    @Override
    public String toString() {
        String host = Addresses.print(address);
        String ports = single() ? String.valueOf(firstPort) : everyPort() ? "*" : firstPort + "-" + lastPort;
        return (ipv6() ? "[" + host + "]" : host) + ":" + ports + "/" + protocol.yamlName();
    }
}
