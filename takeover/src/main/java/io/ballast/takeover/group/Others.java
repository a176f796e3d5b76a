package io.ballast.takeover.group;

import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the other nodes have said of something that only one may have. A node that has it, or may come to have it, says so
 * (it advertises as master) until it has given it back, and then says that it is free (priority 0), and says that now and
 * then for as long as it does not want it.
 *
 * <p>A node may take it without asking anybody when every other one has said that it is free after this one said so for the
 * last time. So no two nodes ever believe that of each other: one of them said it first. Messages that crossed do not count,
 * as long as none is under way for longer than {@link #MARGIN}. Who was heard to have it, or never, and says nothing any
 * more, may have it still: only its end makes that sure ({@link #fenced}).
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
public final class Others {
    /** Longer than a message is under way. */
    public static final long MARGIN = 100_000_000;

    /** How a node stands, as far as it is known. */
    public enum Standing {
        /** It has it, or is to. */
        HAS,
        /** It does not, and will not take it without asking. */
        FREE,
        /** It had it, and says nothing any more: it may have it still. */
        GONE,
        /** Nothing that counts was heard of it. */
        SILENT
    }

    private record Word(boolean free, long at, long until) {}

    private final Map<String, Word> words = new HashMap<>();
    private final Set<String> fenced = new LinkedHashSet<>();
    private long said;
    private boolean spoke;

    /** A node has said that it has it, or is to; it would say so again by then. */
    public void has(String node, long at, long until) {
        fenced.remove(node);
        words.put(node, new Word(false, at, until));
    }

    /** A node has said that it is free. */
    public void free(String node, long at) {
        fenced.remove(node);
        words.put(node, new Word(true, at, 0));
    }

    /** A node is certainly off, or the operator says so. */
    public void fenced(String node) {
        words.remove(node);
        fenced.add(node);
    }

    /** This node says that it is free, at that time at the latest. */
    public void said(long at) {
        said = spoke ? Math.max(said, at) : at;
        spoke = true;
        fenced.clear(); // who was off then may have come back, and heard this
    }

    /** How a node stands. */
    public Standing of(String node, long now) {
        if (fenced.contains(node)) {
            return Standing.FREE;
        }
        Word word = words.get(node);
        if (word == null) {
            return Standing.SILENT;
        }
        if (word.free()) {
            return !spoke || word.at() - said >= MARGIN ? Standing.FREE : Standing.SILENT;
        }
        return now < word.until() ? Standing.HAS : Standing.GONE;
    }

    /** A node that is heard to have it; null where none is. */
    public @Nullable String holder(long now) {
        for (Map.Entry<String, Word> each : words.entrySet()) {
            if (!each.getValue().free() && now < each.getValue().until()) {
                return each.getKey();
            }
        }
        return null;
    }

    /** When {@link #holder} may be another if nothing is heard. */
    public long due(long now) {
        long due = Long.MAX_VALUE;
        for (Word word : words.values()) {
            if (!word.free() && word.until() > now) {
                due = Math.min(due, word.until());
            }
        }
        return due;
    }
}
