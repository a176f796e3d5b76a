package io.ballast.node;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Description;
import io.ballast.core.config.Problem;
import io.ballast.core.config.QuorumSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import io.ballast.linux.Notify;
import io.ballast.linux.Signal;
import io.ballast.takeover.quorum.Quorum;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;

/** A process that is one voice in who has which address, and nothing else. */
public final class Witness {
    private Witness() {}

    /** What was read last; by one thread after another. */
    private static final class Known {
        volatile Optional<String> secret = Optional.empty();
    }

    /** Why it cannot be one. */
    public static final class RefusedException extends Exception {
        private static final long serialVersionUID = 1;

        RefusedException(String message) {
            super(message);
        }
    }

    /**
     * Votes until SIGTERM; SIGHUP reads the description again.
     *
     * @param name of the voter; without it the host's, else the only voter that is no node
     */
    public static void run(Path file, Optional<String> name, Map<String, String> environment, PrintStream out)
            throws RefusedException, InterruptedException {
        Description first = read(file, out);
        String voter = name.isPresent() ? name.get() : guess(first, Daemon.hostName());
        Known known = new Known();
        Quorum.Settings settings = settings(first, voter, known, out);
        CountDownLatch end = new CountDownLatch(1);
        try (Quorum quorum = new Quorum(settings, new Quorum.Listener() {
            @Override
            public void reaches(boolean most, String text) {}

            @Override
            public void note(boolean warning, String message) {
                say(out, (warning ? "warning: " : "") + message);
            }
        })) {
            Signal.TERM.watch(_ -> end.countDown());
            Signal.INT.watch(_ -> end.countDown());
            Signal.HUP.watch(_ -> reload(file, voter, known, quorum, out));
            say(
                    out,
                    "votes as " + voter + " at UDP port " + settings.port() + " of "
                            + Addresses.print(
                                    Objects.requireNonNull(settings.voters().get(voter))) + ", with "
                            + String.join(
                                    ", ",
                                    settings.voters().keySet().stream()
                                            .filter(other -> !other.equals(voter))
                                            .toList()));
            ready(environment, voter, out);
            end.await();
        }
        say(out, "votes no more");
    }

    private static void ready(Map<String, String> environment, String voter, PrintStream out) {
        try {
            Notify.of(environment).ready("votes as " + voter);
        } catch (IOException e) {
            say(out, "the service manager is not told: " + e.getMessage());
        }
    }

    private static void say(PrintStream out, String text) {
        out.println("ballast witness: " + text);
    }

    private static void reload(Path file, String voter, Known known, Quorum quorum, PrintStream out) {
        try {
            quorum.configure(settings(read(file, out), voter, known, out));
            say(out, "has read " + file + " again");
        } catch (RefusedException e) {
            say(out, "goes on as it was: " + e.getMessage());
        }
    }

    private static Description read(Path file, PrintStream out) throws RefusedException {
        ReadResult result = new DescriptionReader().read(file);
        for (Problem problem : result.problems()) {
            out.println(problem);
        }
        return result.description().orElseThrow(() -> new RefusedException("the description is wrong"));
    }

    private static String guess(Description description, String host) throws RefusedException {
        QuorumSpec quorum = quorum(description);
        if (quorum.voters().containsKey(host)) {
            return host;
        }
        List<String> free = quorum.voters().keySet().stream()
                .filter(voter -> !description.nodes().containsKey(voter))
                .toList();
        if (free.size() != 1) {
            throw new RefusedException(
                    "which voter is this? The host's name " + host + " is none; say --node with one of "
                            + String.join(", ", quorum.voters().keySet()));
        }
        return free.getFirst();
    }

    private static QuorumSpec quorum(Description description) throws RefusedException {
        return description
                .quorum()
                .orElseThrow(
                        () -> new RefusedException("the description has no quorum, so there is nothing to vote about"));
    }

    private static Quorum.Settings settings(Description description, String voter, Known known, PrintStream out)
            throws RefusedException {
        QuorumSpec quorum = quorum(description);
        if (!quorum.voters().containsKey(voter)) {
            throw new RefusedException(voter + " is no voter; there are "
                    + String.join(", ", quorum.voters().keySet()));
        }
        known.secret = QuorumDuty.secret(quorum, known.secret, trouble -> say(out, "warning: " + trouble));
        String secret = known.secret.orElseGet(QuorumDuty::nobodys);
        return new Quorum.Settings(
                voter,
                new LinkedHashMap<>(quorum.voters()),
                quorum.port(),
                secret,
                quorum.lease().toNanos(),
                false);
    }
}
