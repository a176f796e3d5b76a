package io.ballast.linux.bpf;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * The library libbpf (1.0 and newer), opened when it is first needed: it reads the ELF object, makes the maps, patches
 * the instructions and hands them to the verifier. All else goes to the kernel directly.
 *
 * <p>Every function used takes and gives integers and pointers only, which travel in the same registers, so that one
 * linked handle serves all of them: a narrower parameter is the low part of its register, and a narrower result is cut
 * here.
 *
 * <p>What libbpf has to say goes to a callback with a {@code va_list}. On both machines the callee receives that as the
 * address of the list (on x86_64 because it is an array, on aarch64 because a structure of 32 bytes is passed by
 * reference), so an upcall may hand it on to vsnprintf(3) without knowing what is inside.
 */
final class Libbpf {
    private static final String NAME = "libbpf.so.1";
    /** The larger of the two machines' {@code va_list}; reading 8 bytes more of the stack harms nobody. */
    private static final int VA_LIST_SIZE = 32;

    private static final int LEVEL_INFO = 1;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
    private static final long ERRNO = STATE.byteOffset(MemoryLayout.PathElement.groupElement("errno"));
    private static final MethodHandle CALL = LINKER.downcallHandle(
            FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG),
            Linker.Option.captureCallState("errno"));
    private static final MemorySegment VSNPRINTF = LINKER.defaultLookup().findOrThrow("vsnprintf");

    /** Where the callback writes, while its thread is in a call that wants to know. */
    private static final ThreadLocal<@Nullable StringBuilder> HEARD = new ThreadLocal<>();

    private static final class Holder {
        static final @Nullable Libbpf INSTANCE;
        static final String PROBLEM;

        static {
            Libbpf opened = null;
            String problem = "";
            try {
                opened = open(NAME);
            } catch (IOException e) {
                problem = String.valueOf(e.getMessage());
            }
            INSTANCE = opened;
            PROBLEM = problem;
        }
    }

    private final SymbolLookup symbols;

    private Libbpf(SymbolLookup symbols) {
        this.symbols = symbols;
    }

    /** The library of this process; says which package to install where there is none. */
    static Libbpf get() throws IOException {
        Libbpf library = Holder.INSTANCE;
        if (library == null) {
            throw new IOException(Holder.PROBLEM);
        }
        return library;
    }

    static Libbpf open(String name) throws IOException {
        SymbolLookup symbols;
        try {
            symbols = SymbolLookup.libraryLookup(name, Arena.global());
        } catch (IllegalArgumentException e) {
            throw new IOException("libbpf1 is not installed: no " + name + " (apt-get install libbpf1)", e);
        }
        Libbpf library = new Libbpf(symbols);
        library.call("libbpf_set_print", Callback.STUB.address(), 0, 0);
        return library;
    }

    /** A result, and what the library said meanwhile. */
    record Outcome(long result, int errno, String log) {
        int number() {
            return (int) result;
        }
    }

    /** Calls a function of up to three arguments and listens to what the library says. */
    Outcome listen(String function, long a, long b, long c) {
        StringBuilder heard = new StringBuilder();
        HEARD.set(heard);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(STATE);
            long result = invoke(symbols.findOrThrow(function), state, a, b, c, 0);
            return new Outcome(result, state.get(ValueLayout.JAVA_INT, ERRNO), heard.toString());
        } finally {
            HEARD.remove();
        }
    }

    long call(String function, long a, long b, long c) {
        return listen(function, a, b, c).result();
    }

    /** Calls a function that gives a string of its own, for as long as its object lives. */
    String string(String function, long object) {
        return MemorySegment.ofAddress(call(function, object, 0, 0))
                .reinterpret(Long.MAX_VALUE)
                .getString(0, StandardCharsets.UTF_8);
    }

    private static long invoke(MemorySegment function, MemorySegment state, long a, long b, long c, long d) {
        try {
            return (long) CALL.invokeExact(function, state, a, b, c, d);
        } catch (Throwable t) {
            // A linked handle throws nothing of its own: a defect here, or the JVM's state.
            throw new IllegalStateException("call of a native function", t);
        }
    }

    private static final class Callback {
        static final MemorySegment STUB = stub();

        private static MemorySegment stub() {
            MethodType type = MethodType.methodType(int.class, int.class, MemorySegment.class, MemorySegment.class);
            try {
                MethodHandle handle = MethodHandles.lookup().findStatic(Callback.class, "print", type);
                return LINKER.upcallStub(
                        handle,
                        FunctionDescriptor.of(
                                ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS),
                        Arena.global());
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
        }

        /** An exception that left here would end the JVM. */
        @SuppressWarnings("unused") // called by libbpf
        private static int print(int level, MemorySegment format, MemorySegment list) {
            StringBuilder heard = HEARD.get();
            if (heard == null || level > LEVEL_INFO) {
                return 0;
            }
            try (Arena arena = Arena.ofConfined()) {
                heard.append(format(arena, format, list).replace("libbpf: ", ""));
            } catch (RuntimeException | Error e) {
                heard.append("(a message of libbpf could not be read: ")
                        .append(e)
                        .append(")\n");
            }
            return 0;
        }

        private static String format(Arena arena, MemorySegment format, MemorySegment list) {
            // Formatting uses the list up, and a verifier's log needs a second go in a larger buffer.
            MemorySegment again = arena.allocate(VA_LIST_SIZE, 16).copyFrom(list.reinterpret(VA_LIST_SIZE));
            MemorySegment buffer = arena.allocate(4096);
            int length = vsnprintf(arena, buffer, format, list);
            if (length >= buffer.byteSize()) {
                buffer = arena.allocate(length + 1L);
                vsnprintf(arena, buffer, format, again);
            }
            return buffer.getString(0, StandardCharsets.UTF_8);
        }

        private static int vsnprintf(Arena arena, MemorySegment buffer, MemorySegment format, MemorySegment list) {
            return (int) invoke(
                    VSNPRINTF,
                    arena.allocate(STATE),
                    buffer.address(),
                    buffer.byteSize(),
                    format.address(),
                    list.address());
        }
    }
}
