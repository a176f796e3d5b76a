package io.ballast.takeover.address;

import io.ballast.linux.Capability;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Assumptions;

/** Two hosts with a wire between them, in namespaces without a name, which are gone once this is closed. */
final class Segment implements AutoCloseable {
    final NetworkNamespace here;
    final NetworkNamespace there;
    final RouteNetlink mine;
    final RouteNetlink theirs;

    private Segment() throws IOException {
        here = NetworkNamespace.create();
        there = NetworkNamespace.create();
        mine = here.call(RouteNetlink::open);
        theirs = there.call(RouteNetlink::open);
    }

    /** Skips the test without the capability. */
    static Segment open() throws Exception {
        Assumptions.assumeTrue(
                Capability.SYS_ADMIN.isEffective(),
                "needs " + Capability.SYS_ADMIN.kernelName() + " (run the tests as root)");
        Segment segment = new Segment();
        segment.connect();
        return segment;
    }

    /** Puts the wire there, up at both ends; again, where it was taken away. */
    void connect() throws Exception {
        mine.create(new NewLink.Veth("eth0", "eth0", there));
        // Otherwise link-local addresses come into use a second later.
        here.call(() -> Sysctl.write("net.ipv6.conf.eth0.accept_dad", "0"));
        there.call(() -> Sysctl.write("net.ipv6.conf.eth0.accept_dad", "0"));
        theirs.setUp(far().index(), true);
        mine.setUp(near().index(), true);
        await("the wire", () -> near().running());
        settle();
    }

    /** Waits until this end's IPv6 addresses are in use, which the kernel does a little later. */
    void settle() throws InterruptedException {
        int link = near().index();
        await("IPv6 addresses in use", () -> {
            List<InetAddress> local = get(mine::routes).stream()
                    .filter(route -> route.type() == Route.Type.LOCAL)
                    .map(route -> route.destination().address())
                    .toList();
            List<Address> own = get(() -> mine.addresses(link)).stream()
                    .filter(address -> address.address() instanceof Inet6Address)
                    .toList();
            return !own.isEmpty()
                    && own.stream()
                            .allMatch(address -> !address.flags().contains(Address.Flag.TENTATIVE)
                                    && local.contains(address.address()));
        });
    }

    Link near() {
        return link(mine);
    }

    Link far() {
        return link(theirs);
    }

    private static Link link(RouteNetlink netlink) {
        return get(() -> netlink.link("eth0").orElseThrow());
    }

    /** For questions inside of conditions. */
    static <T> T get(Callable<T> question) {
        try {
            return question.call();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** Waits for something that another thread or the kernel brings about, for at most half a minute. */
    static void await(String what, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - end > 0) {
                throw new AssertionError("did not happen in 30 s: " + what);
            }
            Thread.sleep(1);
        }
    }

    @Override
    public void close() {
        mine.close();
        theirs.close();
        here.close();
        there.close();
    }
}
