package io.ballast.node;

import java.util.List;

/**
 * Where two lists differ: what is left of them without the objects that both begin with, and those that both end with.
 * Of two large descriptions, of which the second was read as a change of the first, it is the few services that
 * changed; what is outside of it is the very same in both.
 */
record Middle<T>(List<T> before, List<T> after) {

    /** The middle of two lists; its own are views of them. */
    @SuppressWarnings("ReferenceEquality") // comparing what is large by value is what this is to avoid
    static <T> Middle<T> of(List<T> before, List<T> after) {
        int most = Math.min(before.size(), after.size());
        int start = 0;
        while (start < most && before.get(start) == after.get(start)) {
            start++;
        }
        int end = 0;
        while (end < most - start && before.get(before.size() - 1 - end) == after.get(after.size() - 1 - end)) {
            end++;
        }
        return new Middle<>(before.subList(start, before.size() - end), after.subList(start, after.size() - end));
    }
}
