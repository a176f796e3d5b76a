package io.ballast.director.sync;

import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * An engine's table of connections, as far as other directors are concerned. May be used on any thread; fails with
 * {@link IllegalStateException} once the engine has been closed.
 */
public interface ConnectionTable {
    /** What the numbers of its entries stand for; the same object while that stays as it is. */
    Names names();

    /** Begins to look at what changes, for somebody who knows nothing yet. */
    Changes changes();

    /**
     * Remembers what another director remembers.
     *
     * @param entries by this table's numbers
     * @param ours whether this director has the addresses of an endpoint, and so knows its connections better
     * @param teller what is looked at for who told it, and so need not be told; null where nothing is
     * @return what became of each, in their order
     */
    List<Outcome> put(List<Entry> entries, Predicate<Names.Where> ours, @Nullable Changes teller);

    /** What becomes of an entry that another director has told. */
    enum Outcome {
        /** It is remembered now. */
        NEW,
        /** It was remembered, and is as it was told now. */
        CHANGED,
        /** It is known better here. */
        KNOWN,
        /** There is no room for it. */
        FULL,
        /** What it needs belongs to another connection here. */
        TAKEN
    }

    /** What somebody has not been told yet. Of one thread, but {@link #close}. */
    interface Changes extends AutoCloseable {
        /**
         * Some of what has changed.
         *
         * @param wanted of which endpoints
         * @param most about how many
         */
        Look next(Predicate<Names.Where> wanted, int most);

        /** What was wanted before is not what is wanted now: everything is looked at once more. */
        void lookEverywhere();

        /** A part of everything is looked at once more; a dozen of these is all of it. */
        void lookSomewhere();

        /** What was told may not have been understood: it is told once more. */
        void forget();

        @Override
        void close();
    }

    /**
     * What was found.
     *
     * @param more whether there is more at once
     * @param since when the oldest of it may have happened, as {@link System#nanoTime} has it
     */
    record Look(List<Entry> entries, boolean more, long since) {}
}
