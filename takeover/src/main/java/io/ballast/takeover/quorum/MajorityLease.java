package io.ballast.takeover.quorum;

import io.ballast.takeover.wire.OwnershipCondition;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * That most voters say that the addresses of virtual routers which move together are this node's. Each of them is asked for
 * by itself: nodes whose descriptions differ about what moves together still never have the same one.
 */
public final class MajorityLease implements OwnershipCondition {
    /** One of the things, as long as it is wanted. */
    private final class Held implements Quorum.Tenure {
        private volatile long until = Long.MIN_VALUE;
        private volatile String why = "asks the voters";

        @Override
        public void held(long time) {
            until = time;
            changed.run();
        }

        @Override
        public void waits(String reason) {
            why = reason;
            until = Long.MIN_VALUE;
            changed.run();
        }

        boolean isHeld() {
            return until != Long.MIN_VALUE && until - System.nanoTime() > 0;
        }
    }

    private final Quorum quorum;
    private final List<String> resources;
    private volatile Runnable changed = () -> {};
    private volatile @Nullable List<Held> all;

    /**
     * One that is not wanted.
     *
     * @param resources by the names that all nodes have for them
     */
    public MajorityLease(Quorum quorum, List<String> resources) {
        this.quorum = quorum;
        this.resources = List.copyOf(resources);
    }

    /** From now on, this is to be run when it stands otherwise. */
    public void listen(Runnable listener) {
        changed = listener;
    }

    @Override
    public void wanted(String why) {
        List<Held> held = new ArrayList<>();
        for (String resource : resources) {
            Held one = new Held();
            held.add(one);
            quorum.want(resource, one);
        }
        all = held;
    }

    @Override
    public void given(String why) {
        all = null;
        resources.forEach(quorum::release);
    }

    @Override
    public long until() {
        List<Held> held = all;
        return held == null
                ? Long.MAX_VALUE
                : Math.max(0, held.stream().mapToLong(one -> one.until).min().orElse(Long.MAX_VALUE));
    }

    @Override
    public Standing standing() {
        List<Held> held = all;
        if (held == null) {
            return new Standing(State.FREE, "a majority lease, not asked for", false);
        }
        for (int i = 0; i < held.size(); i++) {
            if (!held.get(i).isHeld()) {
                return new Standing(
                        State.AWAITED, "most voices for " + resources.get(i) + ": " + held.get(i).why, false);
            }
        }
        return new Standing(State.GRANTED, "most voices", false);
    }
}
