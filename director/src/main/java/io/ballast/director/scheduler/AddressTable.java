package io.ballast.director.scheduler;

import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A hash table of entries by 128-bit address. The entries carry the links, so that looking one up allocates nothing and
 * adding one allocates no more than the entry.
 */
final class AddressTable<E extends AddressTable.Entry> {

    /** What is filed under one address. */
    abstract static class Entry {

        final long high;
        final long low;
        private @Nullable Entry next;

        Entry(long high, long low) {
            this.high = high;
            this.low = low;
        }
    }

    private final long seed;
    private @Nullable Entry[] buckets = new @Nullable Entry[64];
    private int size;

    /**
     * @param seed makes the places of addresses unpredictable, so that nobody can choose addresses that all fall into
     *     one bucket; where addresses do not come from strangers any number will do
     */
    AddressTable(long seed) {
        this.seed = seed;
    }

    int size() {
        return size;
    }

    @SuppressWarnings("unchecked") // only put() files entries
    @Nullable
    E get(long high, long low) {
        for (Entry entry = buckets[bucket(high, low)]; entry != null; entry = entry.next) {
            if (entry.low == low && entry.high == high) {
                return (E) entry;
            }
        }
        return null;
    }

    /** Files an entry whose address is not yet there. */
    void put(E entry) {
        if (size >= buckets.length) {
            grow();
        }
        size++;
        link(entry);
    }

    @SuppressWarnings("ReferenceEquality") // identity is meant
    void remove(E entry) {
        int bucket = bucket(entry.high, entry.low);
        Entry before = null;
        for (Entry at = buckets[bucket]; at != null; before = at, at = at.next) {
            if (at == entry) {
                if (before == null) {
                    buckets[bucket] = at.next;
                } else {
                    before.next = at.next;
                }
                at.next = null;
                size--;
                return;
            }
        }
    }

    /** Asks for every entry, in no meaningful but always the same order, and removes those for which it says so. */
    @SuppressWarnings("unchecked") // only put() files entries
    void removeIf(Predicate<? super E> gone) {
        for (int i = 0; i < buckets.length; i++) {
            Entry before = null;
            for (Entry at = buckets[i]; at != null; at = at.next) {
                if (!gone.test((E) at)) {
                    before = at;
                    continue;
                }
                size--;
                if (before == null) {
                    buckets[i] = at.next;
                } else {
                    before.next = at.next;
                }
            }
        }
    }

    private void grow() {
        @Nullable Entry[] old = buckets;
        buckets = new @Nullable Entry[old.length * 2];
        for (Entry first : old) {
            Entry at = first;
            while (at != null) {
                Entry next = at.next;
                link(at);
                at = next;
            }
        }
    }

    private void link(Entry entry) {
        int bucket = bucket(entry.high, entry.low);
        entry.next = buckets[bucket];
        buckets[bucket] = entry;
    }

    private int bucket(long high, long low) {
        return (int) FlowKey.mix(high, low, seed) & (buckets.length - 1);
    }
}
