package io.ballast.core.config.reader;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.yaml.Node.Scalar;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What the last reading leaves, so that a large file in which few services changed is not read as a whole again.
 *
 * <p>Under {@code services:}, written as an indented block, each service is some lines: the first is its key, at the one
 * indentation that all services have, and the rest are deeper. The parser itself has said where each begins. Of a new
 * text, the services at the start and at the end that are the same byte by byte stay what they are, and only the lines
 * between are read. That this gives what a whole reading would give rests on three things, and where one fails, nothing
 * is answered and the whole is read:
 * <ul>
 *   <li>the last text had no problem at all and no anchors, and nothing outside the services changed;
 *   <li>the lines between, read under a {@code services:} of their own, are a document without a problem, so that no
 *       quote and no bracket stays open at their end;
 *   <li>only lines that are keys of services have the services' indentation, and none has less, so that each of these
 *       lines ends, in the whole as well, whatever came before it.
 * </ul>
 */
final class LastReading {
    private final byte[] text;
    private final Description description;
    private final Map<String, CheckSpec> checks;
    private final List<ServiceSpec> services;
    /** Where they answer. */
    private final AcrossServices.Listening listening;
    /** Where each service begins in the text, and where the last one ends. */
    private final int[] starts;
    /** Spaces before each service's key. */
    private final int indentation;

    private LastReading(
            byte[] text,
            Description description,
            Map<String, CheckSpec> checks,
            AcrossServices.Listening listening,
            int[] starts,
            int indentation) {
        this.text = text;
        this.description = description;
        this.checks = checks;
        this.listening = listening;
        this.services = List.copyOf(description.services().values());
        this.starts = starts;
        this.indentation = indentation;
    }

    /**
     * Remembers a reading that had no problems; nothing where the services are written in another way.
     *
     * @param begin the line of {@code services:}
     * @param keys of all services, in the text's order
     * @param end the line of the key that follows the services; 0 where none does
     */
    static Optional<LastReading> of(
            byte[] text,
            Description description,
            Map<String, CheckSpec> checks,
            int begin,
            List<Scalar> keys,
            int end) {
        int indentation = keys.getFirst().column() - 1;
        int[] starts = new int[keys.size() + 1];
        int line = 1;
        int at = 0;
        int first = 0;
        for (int i = 0; i <= keys.size(); i++) {
            int wanted = i < keys.size() ? keys.get(i).line() : end == 0 ? Integer.MAX_VALUE : end;
            while (line < wanted && at < text.length) {
                if (text[at++] == '\n') {
                    line++;
                    first = line == begin + 1 ? at : first;
                }
            }
            starts[i] = at;
            boolean twoInALine = i > 0 && starts[i - 1] == at;
            boolean elsewhere = i < keys.size()
                    && (keys.get(i).column() - 1 != indentation || indentation(text, at, text.length) != indentation);
            if (twoInALine || elsewhere) {
                return Optional.empty();
            }
        }
        // Comments above the first service count as its own.
        starts[0] = first;
        return indentation > 0 && !lonelyReturn(text, 0, text.length)
                ? Optional.of(new LastReading(
                        text,
                        description,
                        Map.copyOf(checks),
                        AcrossServices.Listening.of(description.services().values()),
                        starts,
                        indentation))
                : Optional.empty();
    }

    Description description() {
        return description;
    }

    /** Spaces at the start of the line, or -1 where nothing but perhaps a comment follows them. */
    private static int indentation(byte[] text, int start, int end) {
        int at = start;
        while (at < end && text[at] == ' ') {
            at++;
        }
        boolean nothing = at == end || text[at] == '\n' || text[at] == '\r' || text[at] == '#';
        return nothing ? -1 : at - start;
    }

    /** Whether a carriage return stands alone, which YAML takes for the end of a line, and we do not. */
    private static boolean lonelyReturn(byte[] text, int start, int end) {
        for (int at = start; at < end; at++) {
            if (text[at] == '\r' && (at + 1 == end || text[at + 1] != '\n')) {
                return true;
            }
        }
        return false;
    }

    /** The reading of a new text, where only services changed and nothing is wrong; else nothing. */
    Optional<LastReading> read(byte[] now, DescriptionReader.Limits limits) {
        int same = Arrays.mismatch(text, now);
        if (same < 0) {
            return Optional.of(this);
        }
        int shift = now.length - text.length;
        int changedTo = text.length - commonTail(now, Math.min(text.length, now.length) - same);
        int count = services.size();
        if (same < starts[0] || changedTo > starts[count]) {
            return Optional.empty();
        }
        int first = 0;
        while (first < count && starts[first + 1] <= same) {
            first++;
        }
        // Lines that were added where a service begins may belong to the one before.
        first = Math.max(0, first - 1);
        int last = count;
        while (last > first && starts[last - 1] >= changedTo) {
            last--;
        }
        int from = starts[first];
        int to = starts[last] + shift;
        Optional<List<Integer>> keyLines = keyLines(now, from, to);
        if (keyLines.isEmpty()) {
            return Optional.empty();
        }
        var between = Binding.services(Arrays.copyOfRange(now, from, to), description, checks, limits);
        if (between.isEmpty() || !places(between.get()).equals(keyLines.get())) {
            return Optional.empty();
        }
        return merged(now, first, last, shift, between.get());
    }

    private int commonTail(byte[] now, int most) {
        int length = 0;
        while (length < most && text[text.length - 1 - length] == now[now.length - 1 - length]) {
            length++;
        }
        return length;
    }

    /** The lines, from 1, that have the services' indentation; nothing where one has less, or the text is torn. */
    private Optional<List<Integer>> keyLines(byte[] now, int from, int to) {
        boolean torn = to > from && to < now.length && now[to - 1] != '\n';
        if (torn || lonelyReturn(now, from, to)) {
            return Optional.empty();
        }
        List<Integer> lines = new ArrayList<>();
        int line = 1;
        for (int at = from; at < to; line++) {
            int spaces = indentation(now, at, to);
            if (spaces >= 0 && (spaces < indentation || (lines.isEmpty() && spaces != indentation))) {
                return Optional.empty();
            }
            if (spaces == indentation) {
                lines.add(line);
            }
            while (at < to && now[at] != '\n') {
                at++;
            }
            at++;
        }
        return Optional.of(lines);
    }

    private List<Integer> places(Binding.Services between) {
        return between.keys().stream()
                .map(key -> key.column() - 1 == indentation ? key.line() : -1)
                .toList();
    }

    private Optional<LastReading> merged(byte[] now, int first, int last, int shift, Binding.Services between) {
        List<ServiceSpec> all = new ArrayList<>(services.subList(0, first));
        all.addAll(between.specs());
        all.addAll(services.subList(last, services.size()));
        var byName = new LinkedHashMap<String, ServiceSpec>(all.size() * 2);
        all.forEach(service -> byName.put(service.name(), service));
        if (byName.size() != all.size() || all.isEmpty()) {
            return Optional.empty();
        }
        boolean alone = AcrossServices.surelyNoProblem(services.subList(first, last), between.specs(), listening);
        if (!alone && AcrossServices.anyProblem(all, description)) {
            return Optional.empty();
        }
        int[] begins = new int[all.size() + 1];
        System.arraycopy(starts, 0, begins, 0, first);
        int at = starts[first];
        int line = 1;
        int filled = first;
        for (Scalar key : between.keys()) {
            while (line < key.line()) {
                if (now[at++] == '\n') {
                    line++;
                }
            }
            begins[filled++] = at;
        }
        begins[0] = starts[0];
        for (int i = last; i <= services.size(); i++) {
            begins[filled++] = starts[i] + shift;
        }
        var next = new Description(
                description.name(),
                description.nodes(),
                description.virtualRouters(),
                Collections.unmodifiableSequencedMap(byName),
                description.connectionSync(),
                description.quorum(),
                description.resources());
        AcrossServices.Listening listens = alone ? listening : AcrossServices.Listening.of(all);
        return Optional.of(new LastReading(now, next, checks, listens, begins, indentation));
    }
}
