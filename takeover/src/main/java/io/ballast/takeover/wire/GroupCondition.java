package io.ballast.takeover.wire;

import io.ballast.takeover.group.GroupKeeper;
import io.ballast.takeover.group.Others;
import io.ballast.takeover.group.ResourceGroup.Action;
import io.ballast.takeover.group.ResourceGroup.Outcome;
import io.ballast.takeover.group.ResourceGroup.Phase;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * That the resources of a group run where the addresses of its virtual router are. Any thread may call it; it waits for
 * nothing but itself.
 */
public final class GroupCondition implements OwnershipCondition {
    /** What does what a group wants done. Called while the group is locked: it must wait for nothing. */
    public interface Edge {
        /** To be done, and {@link #ended} told of. */
        void run(GroupCondition group, long number, int resource, Action action);

        /** See to it that a node is off, and tell {@link #fenced}. */
        void fence(GroupCondition group, String node, String why);

        /** Something worth the journal. */
        void note(GroupCondition group, boolean warning, String message);

        /** {@link #tick} has something to do then; {@link Long#MAX_VALUE} where nothing but events will change that. */
        void due(GroupCondition group, long at);

        /** It stands otherwise now. */
        void changed(GroupCondition group, Phase phase);
    }

    /**
     * What a group consists of.
     *
     * @param nodes the other nodes by their addresses
     * @param edge does what is described in this one
     */
    public record Plan(GroupKeeper.Settings settings, Map<InetAddress, String> nodes, Edge edge) {}

    /**
     * How a group stands.
     *
     * @param resources names, and how each stands
     * @param failures how often it has failed since it was last well
     */
    public record View(
            String name,
            Phase phase,
            String text,
            boolean wanted,
            boolean comesLast,
            List<Resource> resources,
            int failures) {
        /** A resource. */
        public record Resource(String name, String state) {}
    }

    private final String name;
    private final LongSupplier clock;
    private final Others others = new Others();

    // Guarded by this.
    private Plan plan;
    private @Nullable Plan next;
    private GroupKeeper keeper;
    private boolean wanted;
    private @Nullable Phase told;
    private Runnable changed = () -> {};

    private volatile Standing standing;

    /** Of a group that nobody has asked for yet; {@link #tick} begins. */
    public GroupCondition(String name, Plan plan, LongSupplier clock) {
        this.name = name;
        this.clock = clock;
        this.plan = plan;
        this.others.said(clock.getAsLong()); // as far as this process knows: an earlier one may have
        this.keeper = keeper(plan);
        this.standing = stand();
    }

    private GroupKeeper keeper(Plan of) {
        return new GroupKeeper(of.settings(), others, new GroupKeeper.Output() {
            @Override
            public void run(long number, int resource, Action action) {
                of.edge().run(GroupCondition.this, number, resource, action);
            }

            @Override
            public void fence(String node, String why) {
                of.edge().fence(GroupCondition.this, node, why);
            }

            @Override
            public void note(boolean warning, String message) {
                of.edge().note(GroupCondition.this, warning, message);
            }
        });
    }

    /** In the description. */
    public String name() {
        return name;
    }

    /** Who hears that it stands otherwise. */
    public synchronized void listen(Runnable listener) {
        changed = listener;
    }

    /** As described from now on: what was started as it was described before is stopped first. */
    public synchronized void become(Plan other) {
        next = other;
        keeper.given(clock.getAsLong());
        settle();
    }

    @Override
    public synchronized void wanted(String why) {
        wanted = true;
        if (next == null) {
            keeper.wanted(clock.getAsLong());
        }
        settle();
    }

    @Override
    public synchronized void given(String why) {
        wanted = false;
        keeper.given(clock.getAsLong());
        settle();
    }

    @Override
    public synchronized void heard(InetAddress from, boolean has, long at, long until) {
        String node = plan.nodes().getOrDefault(from, from.getHostAddress());
        if (has) {
            keeper.has(node, at, until, clock.getAsLong());
        } else {
            keeper.free(node, at, clock.getAsLong());
        }
        settle();
    }

    @Override
    public boolean tells() {
        return true;
    }

    @Override
    public synchronized void said(long at) {
        keeper.said(at);
    }

    /** What was to be run has ended. */
    public synchronized void ended(Edge of, long number, Outcome outcome, String how) {
        if (of.equals(plan.edge())) {
            keeper.ended(number, outcome, how, clock.getAsLong());
            settle();
        }
    }

    /** How an attempt to fence a node has ended; or the operator says that it is off. */
    public synchronized void fenced(String node, boolean isOff, String how) {
        keeper.fenced(node, isOff, how, clock.getAsLong());
        settle();
    }

    /** The operator has seen to what was wrong. */
    public synchronized void resume() {
        keeper.resume(clock.getAsLong());
        settle();
    }

    /** Does what has become due. */
    public synchronized void tick() {
        keeper.tick(clock.getAsLong());
        settle();
    }

    /** Whether nothing of it runs or may run here. */
    public synchronized boolean isDown() {
        return keeper.isDown();
    }

    private void settle() {
        Plan coming = next;
        if (coming != null && keeper.isDown()) {
            next = null;
            plan = coming;
            keeper = keeper(coming);
            if (wanted) {
                keeper.wanted(clock.getAsLong());
            } else {
                keeper.given(clock.getAsLong());
            }
        }
        Standing before = standing;
        standing = stand();
        Phase phase = keeper.phase();
        if (phase != told) {
            told = phase;
            plan.edge().changed(this, phase);
        }
        if (!standing.equals(before)) {
            changed.run();
        }
        plan.edge().due(this, keeper.due());
    }

    private Standing stand() {
        String text = "resources " + name + ": " + keeper.text();
        State state = switch (keeper.phase()) {
            case STARTED -> State.GRANTED;
            case STOPPED -> next == null ? State.FREE : State.GIVEN_BACK;
            case FAILED -> State.FAILED;
            case STUCK -> State.STUCK;
            case PROBING, FOUND, WAITING, STARTING, STOPPING -> wanted ? State.AWAITED : State.GIVEN_BACK;
        };
        return new Standing(state, text, keeper.comesLast());
    }

    @Override
    public Standing standing() {
        return standing;
    }

    /** How it stands, in full. */
    public synchronized View view() {
        List<String> states = keeper.states();
        List<View.Resource> resources = new ArrayList<>();
        for (int i = 0; i < states.size(); i++) {
            resources.add(new View.Resource(
                    plan.settings().resources().get(i).name(), Objects.requireNonNull(states.get(i))));
        }
        return new View(
                name,
                keeper.phase(),
                keeper.text(),
                wanted,
                keeper.comesLast(),
                List.copyOf(resources),
                keeper.failures());
    }
}
