package io.ballast.linux.bpf;

/**
 * What a map is, as it was asked for: two maps of one shape are interchangeable to a program.
 *
 * @param keySize bytes of a key; 0 for a ring buffer
 * @param valueSize bytes of a value as the program declares it; a value of a per-CPU map is read and written as
 *     {@link BpfMap#valueBytes()}
 * @param maxEntries the most entries; bytes for a ring buffer
 * @param flags {@code BPF_F_*} of linux/bpf.h
 */
public record MapShape(MapType type, int keySize, int valueSize, int maxEntries, int flags) {
    /** Memory for an entry is taken when the entry is made, not when the map is. */
    public static final int NO_PREALLOC = 1;
    /** Programs may only read it (BPF_F_RDONLY_PROG). */
    public static final int READ_ONLY_FOR_PROGRAMS = 1 << 7;
    /** An array that user space may map into its memory (BPF_F_MMAPABLE). */
    public static final int MMAPABLE = 1 << 10;
    /** As an inner map it may have another size than the outer map's template (BPF_F_INNER_MAP). */
    public static final int INNER_MAP = 1 << 12;

    @Override
    public String toString() {
        return type + " of " + Integer.toUnsignedString(maxEntries) + " entries, key " + keySize + " B, value "
                + valueSize + " B, flags 0x" + Integer.toHexString(flags);
    }
}
