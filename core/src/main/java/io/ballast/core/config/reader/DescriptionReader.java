package io.ballast.core.config.reader;

import io.ballast.core.config.ConnectionSyncSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.Problem;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.QuorumSpec;
import io.ballast.core.config.ServiceSpec;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Reads {@code ballast.yaml}. Whatever the text is, the answer is a valid description or the mistakes in it, as many
 * at once as can be told apart.
 *
 * <p>The text is checked as bytes (UTF-8, no control characters), parsed as YAML 1.2, and bound to the records by the
 * schema, in which every key is one object: it reads the key, and describes it in the JSON Schema and in the reference.
 * Services are bound one by one while the text is parsed and never stand in memory as a tree all together; one that
 * refers to a name which may still follow (a node, a named check) is kept as a tree and bound at the end. Then comes
 * what concerns several services.
 *
 * <p>A reader remembers the last good text. Of the next one it reads only the services that changed, where that is sure
 * to give the same as reading the whole, and services that are as they were are the very same objects. So use one reader
 * for the versions of one file. A reader may be used from any thread, by one at a time.
 */
public final class DescriptionReader {
    /** Longer texts are refused; so much describes about 200,000 servers. */
    public static final int MAX_BYTES = 16 << 20;

    /** Services and servers together; more are refused. */
    public static final int MAX_ENTRIES = 250_000;

    /**
     * What a reader refuses because of its size alone.
     *
     * @param bytes of a text, at most {@link #MAX_BYTES}
     * @param entries services and servers together
     * @param why what sets these limits, and how to raise them; empty for those that hold everywhere
     */
    public record Limits(int bytes, int entries, String why) {
        /** What every description has to keep to. */
        public static final Limits STANDARD = new Limits(MAX_BYTES, MAX_ENTRIES, "");

        String tooLarge() {
            String size = bytes >= 1 << 20 ? (bytes >> 20) + " MiB" : (bytes >> 10) + " KiB";
            return "is larger than " + size + because();
        }

        String tooManyEntries() {
            return "more than " + entries + " services and servers in one description" + because();
        }

        private String because() {
            return why.isEmpty() ? "" : ": " + why;
        }
    }

    private final Limits limits;
    private Optional<Description> description = Optional.empty();
    private Optional<LastReading> last = Optional.empty();
    private int wholeReadings;

    /** A reader with the limits that every description has. */
    public DescriptionReader() {
        this(Limits.STANDARD);
    }

    /** A reader with narrower limits. */
    public DescriptionReader(Limits limits) {
        this.limits = limits;
    }

    /** The bytes of a file, for {@link #read(String, byte[])}: all of them, or more than will be read. */
    public static byte[] bytes(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return in.readNBytes(MAX_BYTES + 1);
        }
    }

    /** Reads a file. */
    public ReadResult read(Path file) {
        String name = file.toString();
        ReadResult result;
        try {
            result = read(name, bytes(file));
        } catch (IOException e) {
            return unreadable(name, whyUnreadable(file, e));
        }
        List<Problem> problems = new ArrayList<>(result.problems());
        result.description().flatMap(read -> exposed(file, read)).ifPresent(problems::add);
        return new ReadResult(result.description(), List.copyOf(problems));
    }

    /** A warning where the file of a description has a secret in it that everybody on this machine can read. */
    public static Optional<Problem> exposed(Path file, Description description) {
        Optional<String> secret = description
                .connectionSync()
                .flatMap(ConnectionSyncSpec::key)
                .map(_ -> "connection-sync.key")
                .or(() -> description.quorum().flatMap(QuorumSpec::key).map(_ -> "quorum.key"))
                .or(() -> secret(description));
        try {
            PosixFileAttributes attributes =
                    secret.isPresent() ? Files.readAttributes(file, PosixFileAttributes.class) : null;
            if (attributes == null
                    || !attributes.isRegularFile()
                    || !attributes.permissions().contains(PosixFilePermission.OTHERS_READ)) {
                return Optional.empty();
            }
        } catch (IOException | UnsupportedOperationException e) {
            return Optional.empty(); // it has been read, so it was there
        }
        return secret.map(path -> new Problem(
                Severity.WARNING,
                file.toString(),
                0,
                0,
                path,
                "is a secret, and everybody on this machine can read the file: chmod 600 " + file,
                ""));
    }

    private static Optional<String> secret(Description description) {
        return Stream.concat(
                        description.virtualRouters().values().stream()
                                .filter(router -> router.password().isPresent())
                                .map(router -> "virtual-routers." + router.name() + ".password"),
                        description.services().values().stream()
                                .filter(service -> service.quic()
                                        .flatMap(ServiceSpec.Quic::encryption)
                                        .isPresent())
                                .map(service -> "services." + service.name() + ".quic.key"))
                .findFirst();
    }

    /** Why a file could not be read, in words. */
    public static String whyUnreadable(Path file, IOException e) {
        return switch (e) {
            case NoSuchFileException _ -> "no such file";
            case AccessDeniedException _ -> "not allowed to read the file; check its owner and mode";
            default ->
                Files.isDirectory(file) ? "is a directory; name the file in it" : "cannot be read: " + e.getMessage();
        };
    }

    /** Reads a text. */
    public ReadResult read(String fileName, String text) {
        return read(fileName, text.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * Reads a text.
     *
     * @param fileName for messages
     */
    public synchronized ReadResult read(String fileName, byte[] text) {
        if (text.length > limits.bytes()) {
            return unreadable(fileName, limits.tooLarge());
        }
        Optional<LastReading> next = last.flatMap(reading -> reading.read(text, limits))
                .filter(reading -> entries(reading.description()) <= limits.entries());
        if (next.isEmpty()) {
            return readWhole(fileName, text);
        }
        last = next;
        description = next.map(LastReading::description);
        return new ReadResult(description, List.of());
    }

    /** How often a text had to be read as a whole. */
    int wholeReadings() {
        return wholeReadings;
    }

    private static long entries(Description description) {
        return description.services().values().stream()
                .mapToLong(service -> 1 + service.servers().size())
                .sum();
    }

    private ReadResult readWhole(String fileName, byte[] text) {
        wholeReadings++;
        var problems = new Problems(fileName, text);
        if (TextCheck.check(text, problems)) {
            return new ReadResult(Optional.empty(), problems.list());
        }
        var binding = new Binding(problems, description, limits);
        Optional<Description> read = binding.read(text);
        if (read.isPresent()) {
            description = read;
            last = binding.remember(text, read.get());
        }
        return new ReadResult(read, problems.list());
    }

    private static ReadResult unreadable(String file, String why) {
        return new ReadResult(Optional.empty(), List.of(new Problem(Severity.ERROR, file, 0, 0, "", why, "")));
    }
}
