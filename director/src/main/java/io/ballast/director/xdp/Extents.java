package io.ballast.director.xdp;

import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/** Gives out ranges of one array: the first that fits, and what is given back joins its neighbours. */
final class Extents {
    private final NavigableMap<Integer, Integer> free = new TreeMap<>();

    /** The numbers from {@code from} on, up to but without {@code to}, are free. */
    Extents(int from, int to) {
        free.put(from, to - from);
    }

    /** The first number of a range of so many; -1 where none is left. */
    int take(int count) {
        for (Map.Entry<Integer, Integer> hole : free.entrySet()) {
            int at = hole.getKey();
            int size = hole.getValue();
            if (size >= count) {
                return cut(at, size, count);
            }
        }
        return -1;
    }

    /** Takes a certain range; false, with nothing taken, where it is not free. */
    boolean claim(int at, int count) {
        Map.Entry<Integer, Integer> hole = free.floorEntry(at);
        if (hole == null || hole.getKey() + hole.getValue() < at + count) {
            return false;
        }
        int from = hole.getKey();
        int to = from + hole.getValue();
        free.remove(from);
        if (at > from) {
            free.put(from, at - from);
        }
        if (to > at + count) {
            free.put(at + count, to - at - count);
        }
        return true;
    }

    private int cut(int at, int size, int count) {
        free.remove(at);
        if (size > count) {
            free.put(at + count, size - count);
        }
        return at;
    }

    /** Gives back a range that was taken. */
    void give(int at, int count) {
        Map.Entry<Integer, Integer> before = free.floorEntry(at);
        Map.Entry<Integer, Integer> after = free.ceilingEntry(at);
        if ((before != null && before.getKey() + before.getValue() > at)
                || (after != null && after.getKey() < at + count)) {
            throw new IllegalStateException("range " + at + "+" + count + " is free already");
        }
        int from = at;
        int size = count;
        if (before != null && before.getKey() + before.getValue() == at) {
            from = before.getKey();
            size += before.getValue();
        }
        if (after != null && after.getKey() == at + count) {
            free.remove(after.getKey());
            size += after.getValue();
        }
        free.put(from, size);
    }

    /** How many numbers are free. */
    int left() {
        return free.values().stream().mapToInt(Integer::intValue).sum();
    }
}
