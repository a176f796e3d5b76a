package io.ballast.lab.farm;

import io.ballast.lab.topology.Echo;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Set;

/** A real server of the lab for UDP: an {@link EchoServer}. */
public final class DatagramServer extends LabServer {
    private final Echo echo;

    DatagramServer(Echo echo, Host host) {
        super(echo.node(), "echo-" + echo.name(), host);
        this.echo = echo;
    }

    @Override
    public String program() {
        return "the lab's UDP server";
    }

    @Override
    public List<InetSocketAddress> listen() {
        return echo.listen();
    }

    @Override
    List<String> command() {
        return EchoServer.command(echo);
    }

    /** Addresses of services may come later than the program. */
    @Override
    boolean isServing(long pid) throws IOException {
        Set<InetSocketAddress> bound = ListeningSockets.ofDatagramsInNetworkOf(pid);
        return echo.listen().stream().anyMatch(wanted -> isServed(wanted, bound));
    }

    @Override
    Signal gracefulEnd() {
        return Signal.TERM;
    }
}
