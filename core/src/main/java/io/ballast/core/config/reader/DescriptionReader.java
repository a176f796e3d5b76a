package io.ballast.core.config.reader;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.Problem;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.ServiceSchema.ReadService;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Entry;
import io.ballast.core.yaml.Node.Scalar;
import io.ballast.core.yaml.YamlDocument;
import io.ballast.core.yaml.YamlException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * Reads {@code ballast.yaml}. Whatever the text is, the answer is a valid description or the mistakes in it, as many
 * at once as can be told apart.
 *
 * <p>The text is checked as bytes (UTF-8, no control characters), parsed as YAML 1.2, and bound to the records by the
 * schema, in which every key is one object: it reads the key, and describes it in the JSON Schema and in the reference.
 * Services are bound one by one while the text is parsed and never stand in memory as a tree all together; one that
 * refers to a name which may still follow (a node, a named check) is kept as a tree and bound at the end. Then comes
 * what concerns several services.
 */
public final class DescriptionReader {
    /** Longer texts are refused; so much describes about 200,000 servers. */
    public static final int MAX_BYTES = 16 << 20;

    /** Reads a file. */
    public ReadResult read(Path file) {
        String name = file.toString();
        try (InputStream in = Files.newInputStream(file)) {
            return read(name, in.readNBytes(MAX_BYTES + 1));
        } catch (NoSuchFileException e) {
            return unreadable(name, "no such file");
        } catch (AccessDeniedException e) {
            return unreadable(name, "not allowed to read the file; check its owner and mode");
        } catch (IOException e) {
            return unreadable(
                    name,
                    Files.isDirectory(file)
                            ? "is a directory; name the file in it"
                            : "cannot be read: " + e.getMessage());
        }
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
    public ReadResult read(String fileName, byte[] text) {
        if (text.length > MAX_BYTES) {
            return unreadable(fileName, "is larger than " + (MAX_BYTES >> 20) + " MiB");
        }
        var problems = new Problems(fileName, text);
        if (TextCheck.check(text, problems)) {
            return new ReadResult(Optional.empty(), problems.list());
        }
        var binding = new Binding(problems);
        Optional<Description> description = binding.read(text);
        return new ReadResult(description, problems.list());
    }

    private static ReadResult unreadable(String file, String why) {
        return new ReadResult(Optional.empty(), List.of(new Problem(Severity.ERROR, file, 0, 0, "", why, "")));
    }

    /** A service in the file's order; one of {@code read} and {@code pending} is there, or neither after errors. */
    private static final class Slot {
        final Scalar key;

        @Nullable
        ReadService read;

        @Nullable
        Node pending;

        Slot(Scalar key) {
            this.key = key;
        }
    }

    /** The reading of one text. */
    private static final class Binding implements YamlDocument.Visitor {
        private final Problems problems;
        private final Scope scope;
        private final Map<String, Scalar> rootKeys = new HashMap<>();
        private final Map<String, Scalar> serviceKeys = new HashMap<>();
        private final List<Slot> services = new ArrayList<>();
        private @Nullable String name;
        private int beforeLast;

        Binding(Problems problems) {
            this.problems = problems;
            this.scope = new Scope(problems);
        }

        Optional<Description> read(byte[] text) {
            try {
                YamlDocument.read(text, this);
            } catch (YamlException e) {
                // What came last ends where it should not, and is hardly what was meant.
                problems.forget(beforeLast);
                problems.add(Severity.ERROR, e.line(), e.column(), "", e.text());
                return Optional.empty();
            }
            scope.nodesKnown = true;
            scope.checksKnown = true;
            scope.enter("services");
            for (Slot slot : services) {
                if (slot.pending != null) {
                    bind(slot, slot.pending);
                }
            }
            scope.leave();
            boolean misspelt = rootKeys.keySet().stream()
                    .anyMatch(
                            key -> Suggestions.nearest(key, List.of("services")).isPresent());
            if (!misspelt) {
                problems.add(
                        Severity.ERROR, 1, 1, "", "\"services\" is missing; without a service there is nothing to do");
            } else if (services.isEmpty() && !problems.anyErrorSince(0)) {
                Scalar key = rootKeys.get("services");
                problems.add(
                        Severity.ERROR,
                        key == null ? 1 : key.line(),
                        key == null ? 1 : key.column(),
                        "services",
                        "no service; to stop them all, stop the daemon");
            }
            List<ReadService> read = services.stream()
                    .flatMap(slot -> Optional.ofNullable(slot.read).stream())
                    .toList();
            AcrossServices.check(read, scope.nodes.values(), problems);
            return problems.anyErrorSince(0) ? Optional.empty() : Optional.of(description());
        }

        private Description description() {
            var byName = new LinkedHashMap<String, ServiceSpec>();
            for (Slot slot : services) {
                if (slot.read != null) {
                    byName.put(slot.key.text(), slot.read.spec());
                }
            }
            return new Description(
                    name == null ? "ballast" : name,
                    Collections.unmodifiableSequencedMap(scope.nodes),
                    Collections.unmodifiableSequencedMap(byName));
        }

        @Override
        public boolean inPieces(Scalar rootKey) {
            return rootKey.text().equals("services") && !rootKeys.containsKey("services");
        }

        @Override
        public void begin(Scalar rootKey, int line, int column) {
            rootKeys.put(rootKey.text(), rootKey);
        }

        @Override
        public void piece(Entry entry) {
            beforeLast = problems.mark();
            scope.enter("services");
            var slot = new Slot(entry.key());
            scope.enter(entry.key().text());
            String service = scope.key(entry.key(), RootSchema.SERVICE_NAME, serviceKeys);
            scope.leave();
            if (service != null) {
                services.add(slot);
            }
            bind(slot, entry.value());
            scope.leave();
        }

        private void bind(Slot slot, Node value) {
            scope.enter(slot.key.text());
            int mark = problems.mark();
            scope.namesMissing = false;
            slot.read = ServiceSchema.SERVICE.read(value, scope);
            slot.pending = null;
            if (scope.namesMissing) {
                problems.forget(mark);
                slot.pending = value;
                slot.read = null;
            }
            scope.leave();
        }

        @Override
        public void entry(Entry entry) {
            beforeLast = problems.mark();
            String key = entry.key().text();
            scope.enter(key);
            Scalar first = rootKeys.putIfAbsent(key, entry.key());
            if (first != null) {
                scope.error(entry.key(), "the key is here a second time; the first is in line " + first.line());
            }
            switch (key) {
                case "name" -> name = RootSchema.NAME.type().read(entry.value(), scope);
                case "nodes" -> {
                    SequencedMap<String, NodeSpec> nodes =
                            RootSchema.NODES.type().read(entry.value(), scope);
                    scope.nodes.putAll(nodes == null ? Map.of() : nodes);
                    scope.nodeNames.addAll(keys(entry.value()));
                    scope.nodesKnown = true;
                }
                case "checks" -> {
                    SequencedMap<String, CheckSpec> checks =
                            RootSchema.CHECKS.type().read(entry.value(), scope);
                    scope.checks.putAll(checks == null ? Map.of() : checks);
                    scope.checkNames.addAll(keys(entry.value()));
                    scope.checksKnown = true;
                }
                case "services" -> {
                    if (first == null) {
                        scope.error(
                                entry.value(),
                                "expected a map by service names, found " + Type.describe(entry.value()));
                    }
                }
                default -> scope.error(entry.key(), RootSchema.ROOT.unknown(key));
            }
            scope.leave();
        }

        private static List<String> keys(Node node) {
            return node instanceof Node.Mapping map
                    ? map.entries().stream().map(e -> e.key().text()).toList()
                    : List.of();
        }
    }
}
