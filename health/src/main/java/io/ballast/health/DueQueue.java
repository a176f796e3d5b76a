package io.ballast.health;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Things by when they are due: a binary heap in an array, in which each thing knows its own place. So one can be moved
 * or taken out in logarithmic time, and neither takes memory: a runner that is short of it must not lose a check.
 */
final class DueQueue<T extends DueQueue.Item> {

    /** What can be queued, in one queue at a time. */
    abstract static class Item {
        private static final int NOT_QUEUED = -1;

        private long dueAt;
        private int index = NOT_QUEUED;

        /** When it is due, in {@link System#nanoTime()}'s terms. */
        final long dueAt() {
            return dueAt;
        }
    }

    private Item[] heap = new Item[16];
    private int size;

    /** Adds a thing, or moves it. */
    void put(T item, long dueAt) {
        Item moved = item;
        moved.dueAt = dueAt;
        if (moved.index == Item.NOT_QUEUED) {
            if (size == heap.length) {
                heap = Arrays.copyOf(heap, size * 2);
            }
            place(moved, size++);
        }
        up(moved.index);
        down(moved.index);
    }

    /** Takes a thing out; one that is not in is left alone. */
    void remove(T item) {
        Item gone = item;
        int at = gone.index;
        if (at == Item.NOT_QUEUED) {
            return;
        }
        gone.index = Item.NOT_QUEUED;
        Item last = heap[--size];
        if (at < size) {
            place(last, at);
            up(at);
            down(last.index);
        }
    }

    /** What is due first; null where there is nothing. */
    @SuppressWarnings("unchecked") // put() lets nothing else in
    @Nullable
    T first() {
        return size == 0 ? null : (T) heap[0];
    }

    int size() {
        return size;
    }

    void clear() {
        for (int i = 0; i < size; i++) {
            heap[i].index = Item.NOT_QUEUED;
        }
        size = 0;
    }

    private void place(Item item, int index) {
        heap[index] = item;
        item.index = index;
    }

    private void up(int from) {
        Item item = heap[from];
        int at = from;
        while (at > 0) {
            int parent = (at - 1) >>> 1;
            if (heap[parent].dueAt - item.dueAt <= 0) {
                break;
            }
            place(heap[parent], at);
            at = parent;
        }
        place(item, at);
    }

    private void down(int from) {
        Item item = heap[from];
        int at = from;
        while (2 * at + 1 < size) {
            int child = 2 * at + 1;
            if (child + 1 < size && heap[child + 1].dueAt - heap[child].dueAt < 0) {
                child++;
            }
            if (item.dueAt - heap[child].dueAt <= 0) {
                break;
            }
            place(heap[child], at);
            at = child;
        }
        place(item, at);
    }
}
