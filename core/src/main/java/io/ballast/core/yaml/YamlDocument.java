package io.ballast.core.yaml;

import io.ballast.core.yaml.Node.Entry;
import io.ballast.core.yaml.Node.Mapping;
import io.ballast.core.yaml.Node.Scalar;
import io.ballast.core.yaml.Node.Sequence;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.common.Anchor;
import org.snakeyaml.engine.v2.events.AliasEvent;
import org.snakeyaml.engine.v2.events.CollectionStartEvent;
import org.snakeyaml.engine.v2.events.DocumentStartEvent;
import org.snakeyaml.engine.v2.events.Event;
import org.snakeyaml.engine.v2.events.NodeEvent;
import org.snakeyaml.engine.v2.events.ScalarEvent;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.ReaderException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlVersionException;
import org.snakeyaml.engine.v2.parser.ParserImpl;
import org.snakeyaml.engine.v2.scanner.StreamReader;

/**
 * Reads one YAML document whose root is a map, and hands it over piece by piece, so that a large file never stands in
 * memory as a tree: each entry of the root as a whole, or, where the visitor wants, each entry of an entry.
 *
 * <p>The tree is built from the parser's events, because those carry exact places and leave every decision to us.
 * What a stranger could abuse is bounded: depth, the length of a scalar, and what aliases may multiply.
 */
public final class YamlDocument {
    /** Maps and lists in one another. */
    public static final int MAX_DEPTH = 32;
    /** Characters of one scalar. */
    public static final int MAX_SCALAR = 64 * 1024;
    /** Nodes that aliases may add to a document. */
    public static final int MAX_ALIASED = 1_000_000;
    /** Values that stand in memory at a time: those of one piece, and those of all anchors. */
    public static final int MAX_NODES = 250_000;

    /** What is done with the pieces. */
    public interface Visitor {

        /** Whether the value of this key of the root, where it is a map, is wanted entry by entry. */
        boolean inPieces(Scalar rootKey);

        /** A whole entry of the root. */
        void entry(Entry entry);

        /**
         * A map that comes in pieces begins.
         *
         * @param flow whether it is written in braces
         */
        void begin(Scalar rootKey, boolean flow);

        /** An entry of the map that began last. */
        void piece(Entry entry);

        /** Values that one piece may have, at most {@link #MAX_NODES}. */
        default int maxNodes() {
            return MAX_NODES;
        }

        /** Whether the rest need not be read; asked before each entry. */
        default boolean enough() {
            return false;
        }
    }

    private final ParserImpl parser;
    private final Map<String, Optional<Node>> anchors = new HashMap<>();
    private final Map<String, String> keys = new HashMap<>();
    /** Lists and maps that have begun and not ended, the innermost last. */
    private final List<CollectionStartEvent> open = new ArrayList<>();

    private long aliased;
    private long anchored;
    private int maxNodes = MAX_NODES;
    /** Values of the piece at hand so far. */
    private int nodes;
    /** Whether the visitor has enough. */
    private boolean ended;

    private YamlDocument(byte[] utf8, int from) {
        LoadSettings settings = LoadSettings.builder()
                .setLabel("")
                .setUseMarks(true)
                .setCodePointLimit(Integer.MAX_VALUE)
                .setBufferSize(4096)
                .build();
        var text =
                new InputStreamReader(new ByteArrayInputStream(utf8, from, utf8.length - from), StandardCharsets.UTF_8);
        parser = new ParserImpl(settings, new StreamReader(settings, text));
    }

    /**
     * Reads the document.
     *
     * @param utf8 valid UTF-8
     * @return whether it uses anchors
     * @throws YamlException where it ends being one; what came before has been handed over
     */
    public static boolean read(byte[] utf8, Visitor visitor) throws YamlException {
        boolean mark = utf8.length >= 3 && utf8[0] == (byte) 0xEF && utf8[1] == (byte) 0xBB && utf8[2] == (byte) 0xBF;
        var document = new YamlDocument(utf8, mark ? 3 : 0);
        try {
            document.maxNodes = visitor.maxNodes();
            document.document(visitor);
        } catch (MarkedYamlEngineException e) {
            throw document.syntaxError(e);
        } catch (YamlVersionException e) {
            throw new YamlException(1, 1, "the document says that it is not YAML 1.2; remove its %YAML line");
        } catch (ReaderException e) {
            throw new YamlException(0, 0, "the character U+%04X is not allowed in YAML".formatted(e.getCodePoint()));
        } catch (YamlEngineException e) {
            throw new YamlException(0, 0, String.valueOf(e.getMessage()));
        }
        return !document.anchors.isEmpty();
    }

    /**
     * A single value, written in the program: a default or an example.
     *
     * @throws IllegalArgumentException when it is no YAML
     */
    public static Node value(String yaml) {
        if (yaml.isEmpty() || "[{\"'".indexOf(yaml.charAt(0)) < 0) {
            return new Scalar(1, 1, yaml, true);
        }
        List<Node> values = new ArrayList<>();
        try {
            read(("value: " + yaml).getBytes(StandardCharsets.UTF_8), new Visitor() {
                @Override
                public boolean inPieces(Scalar rootKey) {
                    return false;
                }

                @Override
                public void entry(Entry entry) {
                    values.add(entry.value());
                }

                @Override
                public void begin(Scalar rootKey, boolean flow) {
                    throw new AssertionError("nothing is wanted in pieces");
                }

                @Override
                public void piece(Entry entry) {
                    throw new AssertionError("nothing is wanted in pieces");
                }
            });
        } catch (YamlException e) {
            throw new IllegalArgumentException(yaml, e);
        }
        return values.getFirst();
    }

    private YamlException syntaxError(MarkedYamlEngineException e) {
        boolean quote = e.getContext() != null && e.getContext().contains("quoted scalar");
        boolean unclosed = quote && e.getProblem().startsWith("found unexpected");
        Optional<Mark> mark = unclosed ? e.getContextMark() : e.getProblemMark().or(e::getContextMark);
        int line = mark.map(Mark::getLine).orElse(-1) + 1;
        int column = mark.map(Mark::getColumn).orElse(-1) + 1;
        if (!open.isEmpty() && open.getLast().isFlow()) {
            CollectionStartEvent start = open.getLast();
            boolean map = start.getEventId() == Event.ID.MappingStart;
            Optional<String> bracket = SyntaxMessages.unclosed(e.getProblem(), map, line > line(start), line, column);
            if (bracket.isPresent()) {
                return new YamlException(line(start), column(start), bracket.get());
            }
        }
        String context = e.getContext() == null ? "" : e.getContext();
        String since = e.getContextMark()
                .filter(m -> m.getLine() + 1 < line)
                .map(m -> " that began in line " + (m.getLine() + 1))
                .orElse("");
        return new YamlException(line, column, SyntaxMessages.friendly(context, e.getProblem(), since));
    }

    private void document(Visitor visitor) throws YamlException {
        next();
        Event first = next();
        if (!(first instanceof DocumentStartEvent)) {
            throw new YamlException(1, 1, "the file is empty; a description begins with 'name:' or 'services:'");
        }
        Event root = next();
        switch (root.getEventId()) {
            case MappingStart -> root(visitor, (CollectionStartEvent) root);
            case Scalar -> {
                boolean nothing = ((ScalarEvent) root).getValue().isEmpty();
                throw new YamlException(
                        line(root),
                        column(root),
                        nothing
                                ? "the file is empty; a description begins with 'name:' or 'services:'"
                                : "expected keys such as 'services:', found a text; is a ':' missing?");
            }
            default ->
                throw new YamlException(line(root), column(root), "expected keys such as 'services:', found a list");
        }
        if (ended) {
            return;
        }
        next();
        Event end = next();
        if (end instanceof DocumentStartEvent) {
            throw new YamlException(line(end), column(end), SyntaxMessages.SECOND_DOCUMENT);
        }
    }

    private void root(Visitor visitor, CollectionStartEvent start) throws YamlException {
        anchor(start).ifPresent(name -> anchors.put(name, Optional.empty()));
        refuseTag(start, start.getTag());
        open.add(start);
        for (Event event = next(); event.getEventId() != Event.ID.MappingEnd; event = next()) {
            if (ended || visitor.enough()) {
                ended = true;
                return;
            }
            Scalar key = key(event);
            Event value = next();
            nodes = 0;
            if (value.getEventId() == Event.ID.MappingStart && visitor.inPieces(key)) {
                var map = (CollectionStartEvent) value;
                anchor(map).ifPresent(name -> anchors.put(name, Optional.empty()));
                refuseTag(map, map.getTag());
                visitor.begin(key, map.isFlow());
                open.add(map);
                for (Event e = next(); e.getEventId() != Event.ID.MappingEnd; e = next()) {
                    if (visitor.enough()) {
                        ended = true;
                        return;
                    }
                    Scalar name = key(e);
                    nodes = 0;
                    visitor.piece(new Entry(name, node(next(), 2)));
                }
                open.removeLast();
            } else {
                visitor.entry(new Entry(key, node(value, 1)));
            }
        }
    }

    private Event next() {
        return parser.next();
    }

    private Node node(Event event, int depth) throws YamlException {
        if (event instanceof AliasEvent alias) {
            return aliased(alias);
        }
        int before = nodes;
        if (++nodes > maxNodes) {
            throw new YamlException(
                    line(event),
                    column(event),
                    "more than " + maxNodes + " values in one entry; divide it into several");
        }
        @Nullable String anchor = anchor((NodeEvent) event).orElse(null);
        if (event instanceof ScalarEvent scalar) {
            Scalar node = scalar(scalar);
            if (anchor != null) {
                remember(event, anchor, node, before);
            }
            return node;
        }
        var start = (CollectionStartEvent) event;
        refuseTag(start, start.getTag());
        if (depth > MAX_DEPTH) {
            throw new YamlException(line(start), column(start), "nested more than " + MAX_DEPTH + " levels deep");
        }
        if (anchor != null) {
            anchors.put(anchor, Optional.empty());
        }
        open.add(start);
        Node node = start.getEventId() == Event.ID.MappingStart ? mapping(start, depth) : sequence(start, depth);
        open.removeLast();
        if (anchor != null) {
            remember(event, anchor, node, before);
        }
        return node;
    }

    private void remember(Event event, String anchor, Node node, int before) throws YamlException {
        // Not the node's size: what an alias stands for is there once.
        anchored += nodes - before;
        if (anchored > MAX_NODES) {
            throw new YamlException(line(event), column(event), "anchors (&) name more than " + MAX_NODES + " values");
        }
        anchors.put(anchor, Optional.of(node));
    }

    private Node mapping(CollectionStartEvent start, int depth) throws YamlException {
        List<Entry> entries = new ArrayList<>(6);
        int size = 1;
        for (Event event = next(); event.getEventId() != Event.ID.MappingEnd; event = next()) {
            Scalar key = key(event);
            Node value = node(next(), depth + 1);
            entries.add(new Entry(key, value));
            size += 1 + value.size();
        }
        return new Mapping(line(start), column(start), entries, size);
    }

    private Node sequence(CollectionStartEvent start, int depth) throws YamlException {
        List<Node> items = new ArrayList<>();
        int size = 1;
        for (Event event = next(); event.getEventId() != Event.ID.SequenceEnd; event = next()) {
            Node item = node(event, depth + 1);
            items.add(item);
            size += item.size();
        }
        return new Sequence(line(start), column(start), items, size);
    }

    private Scalar key(Event event) throws YamlException {
        if (!(event instanceof ScalarEvent scalar)) {
            String found = event instanceof AliasEvent ? "an alias" : "a map or list";
            throw new YamlException(
                    line(event), column(event), "a key must be a text, found " + found + "; quote it if it is a text");
        }
        if (anchor(scalar).isPresent()) {
            throw new YamlException(line(event), column(event), "an anchor may stand before a value, not before a key");
        }
        Scalar key = scalar(scalar);
        String known = keys.get(key.text());
        if (known != null) {
            return new Scalar(key.line(), key.column(), known, key.plain());
        }
        if (keys.size() < 256) {
            keys.put(key.text(), key.text());
        }
        return key;
    }

    private Scalar scalar(ScalarEvent event) throws YamlException {
        refuseTag(event, event.getTag());
        if (event.getValue().length() > MAX_SCALAR) {
            throw new YamlException(
                    line(event),
                    column(event),
                    "a text of more than " + MAX_SCALAR + " characters; is a quote missing?");
        }
        return new Scalar(line(event), column(event), event.getValue(), event.isPlain());
    }

    private Node aliased(AliasEvent alias) throws YamlException {
        String name = alias.getAlias().getValue();
        Optional<Node> target = anchors.get(name);
        if (target == null) {
            throw new YamlException(
                    line(alias),
                    column(alias),
                    "no anchor &" + name + " stands before the alias *" + name + "; quote a text that begins with *");
        }
        if (target.isEmpty()) {
            throw new YamlException(line(alias), column(alias), "the alias *" + name + " stands for what contains it");
        }
        aliased += target.get().size();
        if (aliased > MAX_ALIASED) {
            throw new YamlException(
                    line(alias), column(alias), "aliases multiply to more than " + MAX_ALIASED + " values");
        }
        return target.get();
    }

    private static Optional<String> anchor(NodeEvent event) {
        return event.getAnchor().map(Anchor::getValue);
    }

    private static void refuseTag(Event event, Optional<String> tag) throws YamlException {
        if (tag.isPresent()) {
            throw new YamlException(line(event), column(event), "tags (!) are not used here; remove " + tag.get());
        }
    }

    private static int line(Event event) {
        return event.getStartMark().map(Mark::getLine).orElse(-1) + 1;
    }

    private static int column(Event event) {
        return event.getStartMark().map(Mark::getColumn).orElse(-1) + 1;
    }
}
