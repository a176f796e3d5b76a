package io.ballast.health;

import io.ballast.core.config.HostPort;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Optional;

/**
 * Whom to ask, with names resolved: a probe never waits for a resolver.
 *
 * @param address of the server, or what its check names instead
 * @param port 0 where the protocol has none; a protocol that needs one then takes its well-known port
 * @param source the address to ask from
 * @param bindInterface the interface to ask through
 * @param server its name, for external programs
 * @param service its service's name, for external programs
 */
public record ProbeTarget(
        InetAddress address,
        int port,
        Optional<InetAddress> source,
        Optional<String> bindInterface,
        String server,
        String service) {

    /** A server asked by the route that the kernel chooses. */
    public static ProbeTarget of(InetAddress address, int port) {
        return new ProbeTarget(address, port, Optional.empty(), Optional.empty(), "", "");
    }

    /** Address and port, with {@code defaultPort} where there is none. */
    public InetSocketAddress socketAddress(int defaultPort) {
        return new InetSocketAddress(address, port == 0 ? defaultPort : port);
    }

    @Override
    public String toString() {
        return port == 0 ? address.getHostAddress() : HostPort.join(address.getHostAddress(), port);
    }
}
