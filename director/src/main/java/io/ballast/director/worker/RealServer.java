package io.ballast.director.worker;

import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import io.ballast.director.scheduler.Member;
import io.netty.util.concurrent.Future;
import java.net.Inet6Address;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/** One real server of a service, or its sorry server. Belongs to its {@link Balancer}'s loop. */
final class RealServer {
    /** The name of the sorry server in listings. */
    static final String SORRY = "sorry";

    /** Its place in the scheduler; the sorry server's is in none and only counts. */
    final Member member;

    /** It is the sorry server, which no scheduler knows. */
    final boolean sorry;

    /** Read by every loop; replaced, never changed. */
    volatile InetSocketAddress address;

    ServerState state;

    /** No longer in the table; only its connections are left. */
    boolean retired;

    /** It is draining, and the end of that is still to be told. */
    boolean drainPending;

    /** Closes what is left when the drain time-out is over. */
    @Nullable
    Future<?> drainTimer;

    /** Connections and flows given to it and not ended, chained through themselves. */
    @Nullable
    Exchange first;

    long connections;
    long failures;
    private final @Nullable Tally[] tallies;

    private RealServer(Member member, boolean sorry, InetSocketAddress address, ServerState state, int loops) {
        this.member = member;
        this.sorry = sorry;
        this.address = address;
        this.state = state;
        this.tallies = new Tally[loops];
    }

    static RealServer of(Forwarding.Server server, int loops) {
        boolean up = server.state() == ServerState.UP;
        Member member = new Member(server.name(), server.weight(), server.limit(), up);
        return new RealServer(member, false, server.address(), server.state(), loops);
    }

    static RealServer sorry(InetSocketAddress address, int loops) {
        return new RealServer(new Member(SORRY, 1, 0, true), true, address, ServerState.UP, loops);
    }

    String name() {
        return member.name();
    }

    boolean isIpv6() {
        return address.getAddress() instanceof Inet6Address;
    }

    /** Whether it keeps its connections and gets no new ones, by somebody's wish. */
    boolean draining() {
        return retired
                || state == ServerState.DRAINING
                || state == ServerState.DISABLED
                || (state == ServerState.UP && member.weight() == 0);
    }

    /** Whether it has no connection and no flow. */
    boolean idle() {
        return member.connections() == 0 && member.inactive() == 0;
    }

    /** What the loop counts bytes in. */
    Tally tally(Loop loop) {
        Tally tally = tallies[loop.index];
        if (tally == null) {
            tally = new Tally();
            tallies[loop.index] = tally;
        }
        return tally;
    }

    void link(Exchange exchange) {
        exchange.nextOfServer = first;
        exchange.previousOfServer = null;
        if (first != null) {
            first.previousOfServer = exchange;
        }
        first = exchange;
    }

    void unlink(Exchange exchange) {
        Exchange previous = exchange.previousOfServer;
        Exchange next = exchange.nextOfServer;
        if (previous == null) {
            first = next;
        } else {
            previous.nextOfServer = next;
        }
        if (next != null) {
            next.previousOfServer = previous;
        }
        exchange.previousOfServer = null;
        exchange.nextOfServer = null;
    }

    ServerStatistics statistics() {
        long in = 0;
        long out = 0;
        for (Tally tally : tallies) {
            if (tally != null) {
                in += tally.in();
                out += tally.out();
            }
        }
        return new ServerStatistics(name(), member.connections(), member.inactive(), connections, failures, in, out);
    }
}
