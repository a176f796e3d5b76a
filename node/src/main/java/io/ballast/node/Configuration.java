package io.ballast.node;

import io.ballast.core.config.Change;
import io.ballast.core.config.Description;
import io.ballast.core.config.DescriptionDiff;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Problem;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import io.ballast.core.event.Event.Severity;
import io.ballast.director.ServerOverride;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The description that this node follows, and the way from it to the next one: read, resolve, compare, apply. Whatever
 * is wrong with the next one is found before the first thing is changed.
 *
 * <p>All methods may be called from any thread, and block; one description is looked at at a time.
 */
final class Configuration {

    /**
     * A description in use.
     *
     * @param file where it came from, as its user named it
     * @param sha256 of its text
     * @param services those of this node
     */
    record Active(
            Description description,
            String file,
            String sha256,
            Instant since,
            List<ServiceSpec> services,
            Resolution resolution) {}

    /**
     * What came of looking at a description, or of applying it.
     *
     * @param problems warnings, and errors where it cannot be used
     * @param changes from the description in use to this one
     * @param accepted whether it can be used (plan) or is in use now (apply)
     * @param closed where a service should listen after it was applied, and cannot
     */
    record Outcome(
            List<Problem> problems, List<Change> changes, boolean accepted, Duration took, List<Closed> closed) {}

    /** An endpoint that cannot be opened. */
    record Closed(String service, Endpoint endpoint, String reason) {}

    /** A description that cannot be used. */
    static final class RejectedException extends Exception {
        private static final long serialVersionUID = 1L;
        private final transient List<Problem> problems;

        RejectedException(List<Problem> problems) {
            super(problems.size() + " problems");
            this.problems = List.copyOf(problems);
        }

        List<Problem> problems() {
            return problems;
        }
    }

    /** What the operator changed at run time, by service and server. */
    interface Overrides {
        /** As it is now. */
        Map<String, Map<String, ServerOverride>> get() throws InterruptedException;
    }

    /** Brings the node to a description. */
    interface Applier {
        /** Returns when it is done, with the endpoints that could not be opened. */
        List<Closed> apply(Active next) throws InterruptedException;
    }

    /** Servers whose run-time state is told with a description. */
    private static final int MOST_OVERRIDDEN = 20;

    private static final long BASE_HEAP = 16 << 20;
    private static final long HEAP_OF_AN_ENTRY = 4 << 10;

    private final ReentrantLock lock = new ReentrantLock();

    /** One for all readings: it reads only what changed since the last. Guarded by the lock. */
    private final DescriptionReader reader;

    private final Path ownFile;
    private final String node;
    private final Resolution.Resolver resolver;
    private final Applier applier;
    private final Overrides overrides;
    private final EventLog events;
    private volatile Active active;
    private volatile Seen lastSeen = Seen.NEVER;
    /** The digest of the daemon's own file when it was last refused; empty where it was not. */
    private volatile String lastRefused = "";

    /** @param reader that read the first description */
    Configuration(
            DescriptionReader reader,
            Path ownFile,
            String node,
            Active first,
            Resolution.Resolver resolver,
            Applier applier,
            Overrides overrides,
            EventLog events) {
        this.reader = reader;
        this.ownFile = ownFile;
        this.node = node;
        this.active = first;
        this.resolver = resolver;
        this.applier = applier;
        this.overrides = overrides;
        this.events = events;
    }

    /**
     * How large a description may be that this process can carry. A service or server at work, with its checks, their
     * results and its figures, takes up to 4 KiB, measured at 10,000 services of 10 servers; a text is held up to eight
     * times while it is read.
     *
     * @param heap the most that this process may use, in bytes
     */
    static DescriptionReader.Limits limits(long heap) {
        int bytes = (int) Math.min(DescriptionReader.MAX_BYTES, heap / 16);
        int entries = Math.clamp((heap - BASE_HEAP) / HEAP_OF_AN_ENTRY, 1_000, DescriptionReader.MAX_ENTRIES);
        return new DescriptionReader.Limits(
                bytes,
                entries,
                "the daemon's memory is too small for it (a heap of " + (heap >> 20)
                        + " MiB): start it with more, for instance BALLAST_JAVA_OPTS=-Xmx1g, or divide the description");
    }

    /**
     * Reads the text of a description and finds out everything that could be wrong with it here.
     *
     * @param before the description in use; nothing at a start, which forgives names without an address
     */
    static Active read(
            DescriptionReader reader,
            String file,
            byte[] text,
            Optional<String> node,
            String host,
            Resolution.Resolver resolver,
            List<Problem> warnings,
            Optional<Active> before)
            throws RejectedException, NodeRole.UnknownNodeException, InterruptedException {
        CompletableFuture<String> digest = CompletableFuture.supplyAsync(
                () -> sha256(text), task -> Thread.ofVirtual().name("digest").start(task));
        ReadResult result = reader.read(file, text);
        warnings.addAll(result.problems());
        Description description = result.description().orElseThrow(() -> new RejectedException(result.problems()));
        List<ServiceSpec> services = NodeRole.services(description, NodeRole.choose(description, node, host));
        try {
            // Where there were no names, only what changed can have any.
            List<ServiceSpec> mayHaveNames = before.filter(b -> b.resolution().equals(Resolution.NONE))
                    .map(b -> Middle.of(b.services(), services).after())
                    .orElse(services);
            Resolution resolution =
                    Resolution.of(mayHaveNames, file, resolver, before.map(Active::resolution), warnings);
            return new Active(description, file, digest.join(), Instant.now(), services, resolution);
        } catch (Resolution.UnresolvedException e) {
            List<Problem> all = new ArrayList<>(result.problems());
            all.addAll(e.problems());
            throw new RejectedException(all);
        }
    }

    static String sha256(byte[] text) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** The description in use. */
    Active active() {
        return active;
    }

    /** The daemon's own file. */
    Path ownFile() {
        return ownFile;
    }

    /** Whether the daemon's own file says something else than what is in use, so that a restart would change things. */
    boolean differsFromOwnFile() {
        try {
            BasicFileAttributes now = Files.readAttributes(ownFile, BasicFileAttributes.class);
            Seen seen = lastSeen;
            if (!seen.isStill(now)) {
                seen = new Seen(
                        now.lastModifiedTime(),
                        now.size(),
                        Optional.ofNullable(now.fileKey()),
                        sha256(DescriptionReader.bytes(ownFile)),
                        Instant.now());
                lastSeen = seen;
            }
            return !seen.sha256().equals(active.sha256());
        } catch (IOException e) {
            return true;
        }
    }

    /** The daemon's own file as it was when its digest was taken, so that a large one is not read for every status. */
    private record Seen(FileTime modified, long size, Optional<Object> key, String sha256, Instant at) {
        static final Seen NEVER = new Seen(FileTime.fromMillis(0), -1, Optional.empty(), "", Instant.EPOCH);

        /** A file written a moment before it was looked at may be written again without a later time. */
        boolean isStill(BasicFileAttributes now) {
            return now.lastModifiedTime().equals(modified)
                    && now.size() == size
                    && Optional.ofNullable(now.fileKey()).equals(key)
                    && modified.toInstant().plusSeconds(1).isBefore(at);
        }
    }

    /** What a description would change. */
    Outcome plan(String file, byte[] text) throws InterruptedException {
        return change(file, text, false);
    }

    /** Applies a description. */
    Outcome apply(String file, byte[] text) throws InterruptedException {
        return change(file, text, true);
    }

    /** Reads the daemon's own file again and applies it. */
    Outcome reload() throws InterruptedException {
        byte[] text;
        try {
            text = DescriptionReader.bytes(ownFile);
        } catch (IOException e) {
            Problem problem = new Problem(
                    Problem.Severity.ERROR,
                    ownFile.toString(),
                    0,
                    0,
                    "",
                    DescriptionReader.whyUnreadable(ownFile, e),
                    "");
            lastRefused = "";
            rejected(ownFile.toString(), List.of(problem));
            return new Outcome(List.of(problem), List.of(), false, Duration.ZERO, List.of());
        }
        Outcome outcome = apply(ownFile.toString(), text);
        lastRefused = outcome.accepted() ? "" : sha256(text);
        return outcome;
    }

    /** What is wrong with the daemon's own file, as far as it was looked at; empty where nothing is known. */
    Optional<String> ownFileTrouble() {
        byte[] text;
        try {
            text = DescriptionReader.bytes(ownFile);
        } catch (IOException e) {
            return Optional.of(ownFile + ": " + DescriptionReader.whyUnreadable(ownFile, e));
        }
        return !lastRefused.isEmpty() && sha256(text).equals(lastRefused)
                ? Optional.of(ownFile + " is wrong and was refused; `ballast check " + ownFile + "` says why")
                : Optional.empty();
    }

    private Outcome change(String file, byte[] text, boolean really) throws InterruptedException {
        lock.lockInterruptibly();
        try {
            long begun = System.nanoTime();
            List<Problem> problems = new ArrayList<>();
            Active next;
            try {
                next = read(reader, file, text, Optional.of(node), node, resolver, problems, Optional.of(active));
            } catch (RejectedException e) {
                return refuse(file, e.problems(), really, begun);
            } catch (NodeRole.UnknownNodeException e) {
                String message = "this node is " + node + ", and the description has no such node";
                return refuse(
                        file,
                        List.of(new Problem(Problem.Severity.ERROR, file, 0, 0, "nodes", message, "")),
                        really,
                        begun);
            }
            problems.addAll(stillOverridden(file, next));
            List<Change> changes = DescriptionDiff.between(active.description(), next.description());
            List<Closed> closed = List.of();
            if (really) {
                closed = applier.apply(next);
                active = next;
            }
            Duration took = Duration.ofNanos(System.nanoTime() - begun);
            if (really) {
                applied(file, changes, took);
            }
            return new Outcome(problems, changes, true, took, closed);
        } finally {
            lock.unlock();
        }
    }

    /** Where the operator's wish at run time goes on to hold against what the description says. */
    private List<Problem> stillOverridden(String file, Active next) throws InterruptedException {
        Map<String, Map<String, ServerOverride>> overridden = overrides.get();
        Map<String, ServiceSpec> services = new HashMap<>();
        for (ServiceSpec service : overridden.isEmpty() ? List.<ServiceSpec>of() : next.services()) {
            services.put(service.name(), service);
        }
        List<Problem> all = new ArrayList<>();
        overridden.forEach((service, servers) -> servers.forEach((server, override) -> {
            Optional<ServerOverride.Facts> described = Optional.ofNullable(services.get(service))
                    .flatMap(s -> s.servers().stream()
                            .filter(d -> d.name().equals(server))
                            .findFirst())
                    .map(ServerOverride.Facts::of);
            if (described.isPresent() && override.holdsFor(described)) {
                all.add(new Problem(
                        Problem.Severity.WARNING,
                        file,
                        0,
                        0,
                        "services." + service,
                        override.wanted().isEmpty()
                                ? server + " was removed at run time and stays out; `ballast server enable " + service
                                        + " " + server + "` brings it back"
                                : server + " was changed at run time and stays so; `ballast list " + service
                                        + "` shows how",
                        ""));
            }
        }));
        if (all.size() <= MOST_OVERRIDDEN) {
            return all;
        }
        List<Problem> some = new ArrayList<>(all.subList(0, MOST_OVERRIDDEN));
        some.add(new Problem(
                Problem.Severity.WARNING,
                file,
                0,
                0,
                "",
                "and " + (all.size() - MOST_OVERRIDDEN) + " more servers were changed at run time and stay so",
                ""));
        return some;
    }

    /** Asks again for the names that have no address, and brings the node to those that have one now. */
    void askForMissingNames() throws InterruptedException {
        Active seen = active;
        if (seen.resolution().missing().isEmpty()) {
            return;
        }
        Resolution next = seen.resolution().again(resolver);
        Set<String> found = new TreeSet<>(seen.resolution().missing().keySet());
        found.removeAll(next.missing().keySet());
        if (found.isEmpty()) {
            return;
        }
        lock.lockInterruptibly();
        try {
            if (!active.equals(seen)) {
                return;
            }
            var _ = events.happened(
                    Severity.INFO,
                    "config.resolved",
                    node,
                    "names that had no address have one now: " + String.join(", ", found),
                    Map.of("names", String.join(" ", found)));
            Active now =
                    new Active(seen.description(), seen.file(), seen.sha256(), seen.since(), seen.services(), next);
            var _ = applier.apply(now);
            active = now;
        } finally {
            lock.unlock();
        }
    }

    private Outcome refuse(String file, List<Problem> problems, boolean really, long begun) {
        if (really) {
            rejected(file, problems);
        }
        return new Outcome(problems, List.of(), false, Duration.ofNanos(System.nanoTime() - begun), List.of());
    }

    private void rejected(String file, List<Problem> problems) {
        List<String> errors = problems.stream()
                .filter(p -> p.severity() == Problem.Severity.ERROR)
                .map(Problem::toString)
                .toList();
        var _ = events.happened(
                Severity.WARNING,
                "config.rejected",
                file,
                "the description in " + file + " is wrong and changed nothing: "
                        + errors.getFirst().lines().findFirst().orElse("")
                        + (errors.size() > 1
                                ? " (and " + (errors.size() - 1) + " more; ballast check shows them)"
                                : ""),
                Map.of("file", file, "errors", Integer.toString(errors.size())));
    }

    private void applied(String file, List<Change> changes, Duration took) {
        var _ = events.happened(
                Severity.INFO,
                "config.applied",
                node,
                "applied " + file + ": " + (changes.size() == 1 ? "1 change" : changes.size() + " changes") + " in "
                        + took.toMillis() + " ms",
                Map.of(
                        "file", file,
                        "changes", Integer.toString(changes.size()),
                        "millis", Long.toString(took.toMillis())));
    }
}
