package io.ballast.linux.bpf;

import java.util.Locale;

/** The kinds of map that Ballast uses ({@code enum bpf_map_type} of linux/bpf.h). */
public enum MapType {
    HASH(1),
    ARRAY(2),
    PROG_ARRAY(3),
    PERCPU_HASH(5),
    PERCPU_ARRAY(6),
    LRU_HASH(9),
    LRU_PERCPU_HASH(10),
    LPM_TRIE(11),
    ARRAY_OF_MAPS(12),
    HASH_OF_MAPS(13),
    DEVMAP(14),
    CPUMAP(16),
    DEVMAP_HASH(25),
    RINGBUF(27),
    /** One that this table does not know. */
    OTHER(-1);

    private final int number;

    MapType(int number) {
        this.number = number;
    }

    /** The kernel's number. */
    public int number() {
        return number;
    }

    /** The type with a number, or {@link #OTHER}. */
    public static MapType of(int number) {
        for (MapType type : values()) {
            if (type.number == number) {
                return type;
            }
        }
        return OTHER;
    }

    /** True when each processor has its own value under one key. */
    public boolean isPerCpu() {
        return this == PERCPU_HASH || this == PERCPU_ARRAY || this == LRU_PERCPU_HASH;
    }

    /** The name as bpftool(8) writes it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
