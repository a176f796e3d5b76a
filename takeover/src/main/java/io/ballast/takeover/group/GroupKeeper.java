package io.ballast.takeover.group;

import io.ballast.takeover.group.Permission.Other;
import io.ballast.takeover.group.ResourceGroup.Action;
import io.ballast.takeover.group.ResourceGroup.Outcome;
import io.ballast.takeover.group.ResourceGroup.Phase;
import io.ballast.takeover.group.ResourceGroup.Resource;
import java.util.List;

/**
 * A node's part in a resource group: its resources ({@link ResourceGroup}), what the other nodes said of theirs
 * ({@link Others}), and whether it may begin ({@link Permission}).
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
public final class GroupKeeper {
    /** Where decisions go. */
    public interface Output {
        /** See {@link ResourceGroup.Output}. */
        void run(long number, int resource, Action action);

        /** See {@link Permission.Output}. */
        void fence(String node, String why);

        /** Something worth the journal. */
        void note(boolean warning, String message);
    }

    /**
     * What there is to keep.
     *
     * @param resources in the order in which they are started
     * @param restarts how often what does not run is started again before the node is given up
     * @param others the other nodes that may have it
     * @param fenced whether every one of them must be known not to have it before this node begins
     * @param byProgram whether there is a program that sees to it that a node is off
     */
    public record Settings(
            List<Resource> resources, int restarts, List<Other> others, boolean fenced, boolean byProgram) {
        public Settings {
            resources = List.copyOf(resources);
            others = List.copyOf(others);
        }
    }

    private final Others others;
    private final ResourceGroup group;
    private final Permission permission;

    /**
     * Of a node that knows nothing of its resources yet.
     *
     * @param others what is known of the other nodes
     */
    public GroupKeeper(Settings settings, Others others, Output output) {
        this.others = others;
        this.group = new ResourceGroup(settings.resources(), settings.restarts(), new ResourceGroup.Output() {
            @Override
            public void run(long number, int resource, Action action) {
                output.run(number, resource, action);
            }

            @Override
            public void note(boolean warning, String message) {
                output.note(warning, message);
            }
        });
        this.permission = new Permission(
                settings.others(), settings.fenced(), settings.byProgram(), others, new Permission.Output() {
                    @Override
                    public void fence(String node, String why) {
                        output.fence(node, why);
                    }

                    @Override
                    public void note(boolean warning, String message) {
                        output.note(warning, message);
                    }
                });
    }

    /** This node is elected. */
    public void wanted(long now) {
        group.wanted(now);
        ask(now);
    }

    /** It is not, or not any more. */
    public void given(long now) {
        group.given(now);
        permission.forget();
    }

    /** Another node has said that it has it, or is to; it would say so again by then. */
    public void has(String node, long at, long until, long now) {
        others.has(node, at, until);
        ask(now);
    }

    /** Another node has said that it is free. */
    public void free(String node, long at, long now) {
        others.free(node, at);
        ask(now);
    }

    /** This node tells the others that it is free, at that time at the latest. */
    public void said(long at) {
        others.said(at);
    }

    /** As {@link ResourceGroup#ended}. */
    public void ended(long number, Outcome outcome, String how, long now) {
        group.ended(number, outcome, how, now);
        ask(now);
    }

    /** As {@link Permission#fenced}; also where the operator says that a node is off. */
    public void fenced(String node, boolean isOff, String how, long now) {
        permission.fenced(node, isOff, how, now);
        ask(now);
    }

    /** As {@link ResourceGroup#resume}. */
    public void resume(long now) {
        group.resume(now);
        ask(now);
    }

    /** Does what has become due. */
    public void tick(long now) {
        group.tick(now);
        ask(now);
    }

    private void ask(long now) {
        if (!group.asksPermission()) {
            return;
        }
        if (permission.ask(now)) {
            permission.forget();
            group.permitted(now);
        } else {
            group.awaits(permission.awaits());
        }
    }

    /** When {@link #tick} has something to do. */
    public long due() {
        return Math.min(group.due(), group.asksPermission() ? permission.due() : Long.MAX_VALUE);
    }

    /** How it stands. */
    public Phase phase() {
        return group.phase();
    }

    /** Whether nothing of it runs or may run here. */
    public boolean isDown() {
        return group.isDown();
    }

    /** As {@link ResourceGroup#comesLast}. */
    public boolean comesLast() {
        return group.comesLast();
    }

    /** How it stands, for people. */
    public String text() {
        return group.text();
    }

    /** As {@link ResourceGroup#states}. */
    public List<String> states() {
        return group.states();
    }

    /** How often it has failed since it was last well. */
    public int failures() {
        return group.failures();
    }
}
