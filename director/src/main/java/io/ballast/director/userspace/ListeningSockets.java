package io.ballast.director.userspace;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.PortHolder;
import io.ballast.linux.Sockets;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Optional;

/** Opens the listening sockets, and says in plain words why one cannot be opened. */
final class ListeningSockets {
    /** More than any kernel grants, which takes net.core.somaxconn instead. */
    private static final int LONGEST_BACKLOG = 65_535;

    private ListeningSockets() {}

    /**
     * Opens a listening or bound socket; {@code backlog} 0 is the system's maximum.
     *
     * @param comes whether the address may be another node's now, and come to this machine later
     */
    static Descriptor open(Endpoint endpoint, int backlog, boolean comes) throws IOException {
        InetSocketAddress address = endpoint.socketAddress();
        Sockets.Options options = Sockets.Options.DEFAULT.withFreeBind(comes);
        return endpoint.protocol() == Protocol.TCP
                ? Sockets.listenTcp(address, options.withBacklog(backlog == 0 ? LONGEST_BACKLOG : backlog))
                : Sockets.bindUdp(address, options);
    }

    /**
     * Why the socket could not be opened and what helps.
     *
     * @param thoroughly whether to look through /proc for the process in the way, which takes a while
     */
    static String explain(Endpoint endpoint, IOException error, boolean thoroughly) {
        if (!(error instanceof LinuxException failure)) {
            return String.valueOf(error.getMessage());
        }
        return switch (failure.errno()) {
            case EADDRINUSE ->
                thoroughly
                        ? inUse(endpoint)
                        : "the port is in use by a process that was not looked for, since so many are; find it with:"
                                + " ss -lntup, as root";
            case EACCES, EPERM ->
                "no permission for port " + endpoint.port()
                        + ": it needs root or CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start";
            case EADDRNOTAVAIL ->
                "no interface of this machine has the address "
                        + endpoint.address().getHostAddress();
            case EMFILE, ENFILE -> "out of file descriptors; raise LimitNOFILE or ulimit -n";
            default -> failure.call() + " failed: " + failure.reason();
        };
    }

    private static String inUse(Endpoint endpoint) {
        Optional<PortHolder> holder = endpoint.protocol() == Protocol.TCP
                ? PortHolder.ofTcp(endpoint.socketAddress())
                : PortHolder.ofUdp(endpoint.socketAddress());
        return holder.map(process -> "the port is in use by " + process.command() + " (pid " + process.pid()
                        + "); stop it or choose another port")
                .orElse("the port is in use by another process, which this user may not see;"
                        + " find it with: ss -lntup, as root");
    }

    /** The error's number, to see whether a further attempt failed for the same reason. */
    static Errno errno(IOException error) {
        return error instanceof LinuxException failure ? failure.errno() : Errno.UNKNOWN;
    }
}
