package io.ballast.linux;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * posix_spawn(3), the one thing here that is the C library's and no system call: between clone and exec nothing of a JVM
 * may run, so the library has to do it.
 */
final class PosixSpawn {
    private static final ValueLayout INT = ValueLayout.JAVA_INT;
    private static final ValueLayout POINTER = ValueLayout.ADDRESS;

    private static final MethodHandle SPAWN = link("posix_spawn", POINTER, POINTER, POINTER, POINTER, POINTER, POINTER);
    private static final MethodHandle ATTRIBUTES = link("posix_spawnattr_init", POINTER);
    private static final MethodHandle FLAGS = link("posix_spawnattr_setflags", POINTER, ValueLayout.JAVA_SHORT);
    private static final MethodHandle MASK = link("posix_spawnattr_setsigmask", POINTER, POINTER);
    private static final MethodHandle DEFAULTS = link("posix_spawnattr_setsigdefault", POINTER, POINTER);
    private static final MethodHandle ACTIONS = link("posix_spawn_file_actions_init", POINTER);
    private static final MethodHandle OPEN = link("posix_spawn_file_actions_addopen", POINTER, INT, POINTER, INT, INT);
    private static final MethodHandle DUP2 = link("posix_spawn_file_actions_adddup2", POINTER, INT, INT);
    private static final MethodHandle CLOSE_FROM = link("posix_spawn_file_actions_addclosefrom_np", POINTER, INT);
    private static final MethodHandle DESTROY = link("posix_spawn_file_actions_destroy", POINTER);

    private static final int POSIX_SPAWN_SETSIGDEF = 0x04;
    private static final int POSIX_SPAWN_SETSIGMASK = 0x08;
    private static final int POSIX_SPAWN_SETSID = 0x80;

    // Opaque; with glibc 336, 80 and 128 bytes.
    private static final int ATTRIBUTES_SIZE = 1024;
    private static final int ACTIONS_SIZE = 512;
    private static final int SIGSET_SIZE = 128;

    private PosixSpawn() {}

    /**
     * Starts a program in a session of its own, with no signal blocked or ignored, with input from /dev/null, output and
     * errors to two descriptors, and every other descriptor closed. Returns when the program was executed or failed to
     * be, so it can hang where the program lies on a file system that does: for platform threads.
     *
     * @param arguments pointer array that ends with NULL, as is {@code environment}
     * @return the process id, or a negative error number
     */
    static int spawn(
            Kernel kernel, String path, MemorySegment arguments, MemorySegment environment, int output, int errors) {
        try {
            MemorySegment attributes = kernel.allocate(ATTRIBUTES_SIZE, 16);
            MemorySegment actions = kernel.allocate(ACTIONS_SIZE, 16);
            MemorySegment none = kernel.allocate(SIGSET_SIZE, 8);
            MemorySegment all = kernel.allocate(SIGSET_SIZE, 8).fill((byte) 0xff);
            MemorySegment pid = kernel.allocate(ValueLayout.JAVA_INT);
            int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID;
            int failed = (int) ATTRIBUTES.invokeExact(attributes);
            failed |= (int) FLAGS.invokeExact(attributes, (short) flags);
            failed |= (int) MASK.invokeExact(attributes, none);
            failed |= (int) DEFAULTS.invokeExact(attributes, all);
            failed |= (int) ACTIONS.invokeExact(actions);
            try {
                failed |= (int) OPEN.invokeExact(actions, 0, kernel.string("/dev/null"), 0, 0);
                failed |= (int) DUP2.invokeExact(actions, output, 1);
                failed |= (int) DUP2.invokeExact(actions, errors, 2);
                failed |= (int) CLOSE_FROM.invokeExact(actions, 3);
                if (failed != 0) {
                    return -Errno.ENOMEM.number(); // the only way in which these can fail
                }
                int error =
                        (int) SPAWN.invokeExact(pid, kernel.string(path), actions, attributes, arguments, environment);
                return error == 0 ? pid.get(ValueLayout.JAVA_INT, 0) : -error;
            } finally {
                int destroyed = (int) DESTROY.invokeExact(actions);
                assert destroyed == 0;
            }
        } catch (Throwable t) {
            // Linked handles throw nothing of their own: a defect here, or the JVM's state.
            throw new IllegalStateException("posix_spawn " + path, t);
        }
    }

    /** These return their error number instead of setting errno. */
    private static MethodHandle link(String name, ValueLayout... parameters) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), FunctionDescriptor.of(INT, parameters));
    }
}
