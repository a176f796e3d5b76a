package io.ballast.takeover.wire;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Descriptor;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.Link;
import io.ballast.takeover.track.Tracking;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** A node that only remembers whether the addresses are its own. */
final class RememberingNode implements Takeover.Listener, Ownership {
    final List<String> notes = new CopyOnWriteArrayList<>();
    final List<String> tracked = new CopyOnWriteArrayList<>();
    final List<Role> roles = new CopyOnWriteArrayList<>();
    /** The names of the virtual routers whose addresses it has. */
    final Set<String> owned = ConcurrentHashMap.newKeySet();

    volatile boolean owns;
    /** Whether it had the addresses still when its role was another. */
    volatile boolean overlapped;

    final Takeover takeover;

    RememberingNode(NetworkNamespace in) throws IOException {
        this(in, Preparation.NONE);
    }

    RememberingNode(NetworkNamespace in, Preparation preparation) throws IOException {
        takeover = in.call(() -> new Takeover(this, () -> this, preparation));
    }

    private RememberingNode(NetworkNamespace in, String instance) throws IOException {
        takeover = in.call(() -> new Takeover(this, () -> LocalAddresses.open(this, instance)));
    }

    /** One that remembers nothing of addresses, as it really has them. */
    static RememberingNode real(NetworkNamespace in) throws IOException {
        return new RememberingNode(in, "real-node-test");
    }

    @Override
    public void changed(Membership member, Role from, Role to, int priority, String why) {
        roles.add(to);
        overlapped = owns && to != Role.MASTER && to != Role.LEAVING;
    }

    @Override
    public void until(Membership member, long time) {}

    @Override
    public void tracked(List<String> routers, Tracking.Standing thing, int before, int now) {
        tracked.add(String.join(", ", routers) + ": " + thing.tracked().name() + " " + thing.state() + ", " + before
                + " -> " + now + (thing.fault() ? ", a fault" : ""));
    }

    @Override
    public void note(boolean warning, Membership member, String message) {
        notes.add(message);
    }

    @Override
    public void note(boolean warning, String message) {
        notes.add(message);
    }

    @Override
    public Carrier carrier(Membership member, Link parent, Collection<Link> links) {
        throw new AssertionError("no virtual MAC is remembered");
    }

    @Override
    public void enter(Membership member, Link link, Link carrier) {
        assertThat(link.name()).isEqualTo(member.device());
    }

    @Override
    public void leave(Membership member) {
        assertThat(owned).doesNotContain(member.name());
    }

    @Override
    public void acquire(Membership member, long now) {
        owned.add(member.name());
        owns = true;
    }

    @Override
    public void handOver(Membership member) {
        assertThat(owns).isTrue();
    }

    @Override
    public void release(Membership member, long now) {
        owned.remove(member.name());
        owns = !owned.isEmpty();
    }

    @Override
    public void alone(Membership member, boolean isAlone) {
        assertThat(isAlone && !owns).isFalse();
    }

    @Override
    public void announce(Membership member, long now) {}

    @Override
    public Optional<Descriptor> lifeline() {
        return Optional.empty();
    }

    @Override
    public long lease() {
        return 0;
    }

    @Override
    public long aliveUntil() {
        return Long.MAX_VALUE;
    }

    @Override
    public void live() {}

    @Override
    public void close() {}

    RouterStatus status() throws Exception {
        return all().getFirst();
    }

    List<RouterStatus> all() throws Exception {
        return takeover.status().get(10, TimeUnit.SECONDS);
    }
}
