package io.ballast.takeover.wire;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Capability;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.InetAddress;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Assumptions;

/**
 * Two network namespaces and a cable between them, eth0 at both ends; the left one has 192.0.2.1, the right one 192.0.2.2, both of
 * a network of 24 bits.
 */
final class Wire implements AutoCloseable {
    static final InetAddress LEFT = InetAddress.ofLiteral("192.0.2.1");
    static final InetAddress RIGHT = InetAddress.ofLiteral("192.0.2.2");

    private static final long PATIENCE = 30_000_000_000L;

    final NetworkNamespace left;
    final NetworkNamespace right;
    final RouteNetlink ofLeft;
    final RouteNetlink ofRight;

    private Wire() throws IOException {
        left = NetworkNamespace.create();
        right = NetworkNamespace.create();
        ofLeft = left.call(RouteNetlink::open);
        ofRight = right.call(RouteNetlink::open);
    }

    /** Plugs it in; a test that may not is left out. */
    static Wire open() throws Exception {
        Assumptions.assumeTrue(Capability.SYS_ADMIN.isEffective(), "needs CAP_SYS_ADMIN (run the tests as root)");
        Wire wire = new Wire();
        try {
            wire.ofLeft.create(new NewLink.Veth("eth0", "eth0", wire.right));
            up(wire.ofLeft, LEFT);
            up(wire.ofRight, RIGHT);
            await(
                    "the wire",
                    () -> link(wire.ofLeft).running() && link(wire.ofRight).running());
            return wire;
        } catch (Exception | AssertionError e) {
            wire.close();
            throw e;
        }
    }

    /** Switches an end on, and gives it an address. */
    static void up(RouteNetlink netlink, InetAddress address) throws IOException {
        int link = link(netlink).index();
        netlink.setUp(link, true);
        netlink.add(Address.of(link, address, 24));
    }

    /** Waits until both ends have their link-local addresses. */
    void awaitLinkLocal() throws Exception {
        await("the link-local addresses", () -> hasLinkLocal(ofLeft) && hasLinkLocal(ofRight));
    }

    private static boolean hasLinkLocal(RouteNetlink netlink) throws IOException {
        return netlink.addresses().stream()
                .anyMatch(address -> address.address().isLinkLocalAddress()
                        && !address.flags().contains(Address.Flag.TENTATIVE));
    }

    /** An end of it. */
    static Link link(RouteNetlink netlink) throws IOException {
        return netlink.link("eth0").orElseThrow();
    }

    /** Waits until something is so, for 30 seconds at most. */
    static void await(String what, Callable<Boolean> condition) throws Exception {
        long until = System.nanoTime() + PATIENCE;
        while (!condition.call()) {
            assertThat(System.nanoTime() - until).as("in time: " + what).isNegative();
            Thread.sleep(2);
        }
    }

    /** Whatever runs in the namespaces should have ended. */
    @Override
    public void close() {
        ofLeft.close();
        ofRight.close();
        left.close();
        right.close();
    }
}
