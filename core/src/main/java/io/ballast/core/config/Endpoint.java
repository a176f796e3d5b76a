package io.ballast.core.config;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Locale;

/**
 * Where a virtual service listens: {@code address:port/proto}, an IPv6 address in brackets.
 *
 * @param address a literal address; never resolved by name
 * @param port 1 to 65535
 */
public record Endpoint(InetAddress address, int port, Protocol protocol) {

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

    /** The address and port for a socket. */
    public InetSocketAddress socketAddress() {
        return new InetSocketAddress(address, port);
    }

    /** Whether the address is an IPv6 one. */
    public boolean ipv6() {
        return address instanceof Inet6Address;
    }

    @Override
    public String toString() {
        return HostPort.join(Addresses.print(address), port) + "/" + protocol.yamlName();
    }
}
