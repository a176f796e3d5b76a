package io.ballast.core.config;

import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * What goes with addresses beside services, and what keeps two nodes from having it.
 *
 * @param groups by name, in the file's order
 * @param fencing how another node is switched off
 * @param watchdog what switches off this one
 */
public record ResourcesSpec(
        SequencedMap<String, GroupSpec> groups, Optional<FencingSpec> fencing, Optional<WatchdogSpec> watchdog) {
    /** Nothing. */
    public static final ResourcesSpec NONE = new ResourcesSpec(
            Collections.unmodifiableSequencedMap(new LinkedHashMap<>()), Optional.empty(), Optional.empty());

    /**
     * Resources that run where the addresses of a virtual router are: started in their order before the addresses come, and
     * stopped in reverse when those are gone.
     *
     * @param router the name of the virtual router
     * @param resources at least one
     * @param restarts how often what does not run any more is started again before another node gets all of it
     * @param fenced whether every other node must be known not to have it before it is started here
     * @param reboots whether this machine is reset by its watchdog when something cannot be stopped
     */
    public record GroupSpec(
            String name, String router, List<ResourceSpec> resources, int restarts, boolean fenced, boolean reboots) {}

    /**
     * One of them.
     *
     * @param name for people, different from those of the same group
     * @param what it is
     * @param interval after which it is asked whether it runs
     * @param timeout of its start, and of its stop, and of the question; what takes longer has failed
     */
    public record ResourceSpec(String name, Kind what, Duration interval, Duration timeout) {
        @Override
        public String toString() {
            return name + " " + what;
        }
    }

    /** What a resource is. */
    public sealed interface Kind {
        /** Three programs. */
        record Program(List<String> start, List<String> stop, List<String> status) implements Kind {}

        /**
         * A file system.
         *
         * @param type empty where the kernel finds out
         * @param options empty for none
         */
        record Mount(String device, String at, Optional<String> type, Optional<String> options) implements Kind {}

        /** A unit of systemd. */
        record Unit(String name) implements Kind {}
    }

    /**
     * How a node is switched off for certain.
     *
     * @param command the program and its arguments: with exit code 0 the node is off
     * @param timeout of it
     * @param delay for how long a node waits before it fences one of higher priority
     * @param environment by node, for the program that fences it
     */
    public record FencingSpec(
            List<String> command, Duration timeout, Duration delay, Map<String, Map<String, String>> environment) {
        /** The environment may hold secrets. */
        @Override
        public String toString() {
            return "FencingSpec[command=" + command + ", timeout=" + timeout + ", delay=" + delay + ", nodes="
                    + environment.keySet() + "]";
        }
    }

    /**
     * A device that resets the machine when it is not written to for a while.
     *
     * @param device as /dev/watchdog
     * @param timeout in whole seconds
     */
    public record WatchdogSpec(String device, Duration timeout) {}
}
