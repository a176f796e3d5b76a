package io.ballast.takeover.wire;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** What the operator wants of a virtual router beside what the description says. */
public enum Manner {
    /** Nothing. */
    NORMAL,
    /** This node is to have the addresses while it works. */
    PREFERRED,
    /** Others are to have the addresses, where there are any. */
    YIELDING,
    /** This node takes no part. */
    WITHDRAWN;

    /** The word at the control API. */
    public String word() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** What a word stands for. */
    public static Optional<Manner> of(String word) {
        return Arrays.stream(values())
                .filter(manner -> manner.word().equals(word))
                .findFirst();
    }
}
