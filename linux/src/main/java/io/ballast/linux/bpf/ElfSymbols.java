package io.ballast.linux.bpf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * Where a program's global variables are: the symbol table of an ELF64 relocatable object (elf(5)). libbpf makes a map
 * of each data section, so a variable is a range of bytes of that map's only value.
 */
final class ElfSymbols {
    private static final int SHT_SYMTAB = 2;
    private static final int STT_OBJECT = 1;
    private static final int SECTION_HEADER_SIZE = 64;
    private static final int SYMBOL_SIZE = 24;

    private final ByteBuffer elf;
    private final int sections;
    private final int names;

    /**
     * A variable.
     *
     * @param section the name of its section, {@code .rodata} for constants
     * @param offset in that section
     */
    record Variable(String section, int offset, int size) {}

    /** Throws {@link IndexOutOfBoundsException} or {@link IllegalArgumentException} where the file is not sound. */
    ElfSymbols(byte[] bytes) {
        elf = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
        sections = Math.toIntExact(elf.getLong(40)); // e_shoff
        names = offset(Short.toUnsignedInt(elf.getShort(62))); // e_shstrndx
    }

    /** The variable of this name, or null. */
    @Nullable
    Variable find(String variable) {
        int count = Short.toUnsignedInt(elf.getShort(60)); // e_shnum
        for (int section = 0; section < count; section++) {
            if (elf.getInt(header(section) + 4) == SHT_SYMTAB) {
                return find(section, variable);
            }
        }
        return null;
    }

    private @Nullable Variable find(int table, String variable) {
        int strings = offset(elf.getInt(header(table) + 40)); // sh_link
        int first = offset(table);
        int end = first + Math.toIntExact(elf.getLong(header(table) + 32)); // sh_size
        for (int symbol = first; symbol < end; symbol += SYMBOL_SIZE) {
            int section = Short.toUnsignedInt(elf.getShort(symbol + 6));
            if ((elf.get(symbol + 4) & 0xf) == STT_OBJECT
                    && string(strings + elf.getInt(symbol)).equals(variable)) {
                return new Variable(
                        string(names + elf.getInt(header(section))),
                        Math.toIntExact(elf.getLong(symbol + 8)),
                        Math.toIntExact(elf.getLong(symbol + 16)));
            }
        }
        return null;
    }

    private int header(int section) {
        return sections + section * SECTION_HEADER_SIZE;
    }

    /** Where a section's bytes are in the file. */
    private int offset(int section) {
        return Math.toIntExact(elf.getLong(header(section) + 24));
    }

    private String string(int offset) {
        int end = offset;
        while (elf.get(end) != 0) {
            end++;
        }
        return new String(elf.array(), offset, end - offset, StandardCharsets.UTF_8);
    }
}
