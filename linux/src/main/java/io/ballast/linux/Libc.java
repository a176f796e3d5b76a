package io.ballast.linux;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;

/**
 * The C library's functions that the room uses, and the native memory of one operation: open one, allocate arguments
 * from it, call, read the results, close it.
 *
 * <pre>{@code
 * try (Libc libc = Libc.open()) {
 *     int result = libc.listen(fd, 128); // negative error number on failure, as the kernel itself returns it
 * }
 * }</pre>
 *
 * <p>An instance is confined to the thread that opened it. errno is captured by the linker in the same transition as the
 * call, so nothing that the JVM does in between can change it. Handles are linked on first use, because each costs
 * about a millisecond at start and most processes need few. All layouts here are the same on x86_64 and aarch64, except
 * {@code epoll_event}, which {@link Poller} handles.
 */
final class Libc implements AutoCloseable, SegmentAllocator {
    private static final Linker LINKER = Linker.nativeLinker();
    private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
    private static final long ERRNO = STATE.byteOffset(MemoryLayout.PathElement.groupElement("errno"));
    private static final Linker.Option CAPTURE = Linker.Option.captureCallState("errno");

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
    private static final AddressLayout POINTER = ValueLayout.ADDRESS;

    private final Arena arena;
    private final MemorySegment state;

    private Libc(Arena arena) {
        this.arena = arena;
        this.state = arena.allocate(STATE);
    }

    static Libc open() {
        return new Libc(Arena.ofConfined());
    }

    @Override
    public MemorySegment allocate(long byteSize, long byteAlignment) {
        return arena.allocate(byteSize, byteAlignment);
    }

    /** A NUL-terminated string. */
    MemorySegment string(String text) {
        return arena.allocateFrom(text, StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        arena.close();
    }

    // Sockets

    private static final class SocketHandle {
        static final MethodHandle H = link("socket", FunctionDescriptor.of(INT, INT, INT, INT));
    }

    int socket(int domain, int type, int protocol) {
        try {
            return result((int) SocketHandle.H.invokeExact(state, domain, type, protocol));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class SocketpairHandle {
        static final MethodHandle H = link("socketpair", FunctionDescriptor.of(INT, INT, INT, INT, POINTER));
    }

    int socketpair(int domain, int type, int protocol, MemorySegment twoInts) {
        try {
            return result((int) SocketpairHandle.H.invokeExact(state, domain, type, protocol, twoInts));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class BindHandle {
        static final MethodHandle H = link("bind", FunctionDescriptor.of(INT, INT, POINTER, INT));
    }

    int bind(int fd, MemorySegment address) {
        try {
            return result((int) BindHandle.H.invokeExact(state, fd, address, (int) address.byteSize()));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class ListenHandle {
        static final MethodHandle H = link("listen", FunctionDescriptor.of(INT, INT, INT));
    }

    int listen(int fd, int backlog) {
        try {
            return result((int) ListenHandle.H.invokeExact(state, fd, backlog));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class Accept4Handle {
        static final MethodHandle H = link("accept4", FunctionDescriptor.of(INT, INT, POINTER, POINTER, INT));
    }

    int accept4(int fd, int flags) {
        try {
            return result((int) Accept4Handle.H.invokeExact(state, fd, MemorySegment.NULL, MemorySegment.NULL, flags));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class ConnectHandle {
        static final MethodHandle H = link("connect", FunctionDescriptor.of(INT, INT, POINTER, INT));
    }

    int connect(int fd, MemorySegment address) {
        try {
            return result((int) ConnectHandle.H.invokeExact(state, fd, address, (int) address.byteSize()));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class GetsocknameHandle {
        static final MethodHandle H = link("getsockname", FunctionDescriptor.of(INT, INT, POINTER, POINTER));
    }

    int getsockname(int fd, MemorySegment address, MemorySegment length) {
        try {
            return result((int) GetsocknameHandle.H.invokeExact(state, fd, address, length));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class GetpeernameHandle {
        static final MethodHandle H = link("getpeername", FunctionDescriptor.of(INT, INT, POINTER, POINTER));
    }

    int getpeername(int fd, MemorySegment address, MemorySegment length) {
        try {
            return result((int) GetpeernameHandle.H.invokeExact(state, fd, address, length));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class SetsockoptHandle {
        static final MethodHandle H = link("setsockopt", FunctionDescriptor.of(INT, INT, INT, INT, POINTER, INT));
    }

    int setsockopt(int fd, int level, int option, MemorySegment value) {
        try {
            return result(
                    (int) SetsockoptHandle.H.invokeExact(state, fd, level, option, value, (int) value.byteSize()));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    int setsockopt(int fd, int level, int option, int value) {
        return setsockopt(fd, level, option, arena.allocateFrom(INT, value));
    }

    private static final class GetsockoptHandle {
        static final MethodHandle H = link("getsockopt", FunctionDescriptor.of(INT, INT, INT, INT, POINTER, POINTER));
    }

    int getsockopt(int fd, int level, int option, MemorySegment value, MemorySegment length) {
        try {
            return result((int) GetsockoptHandle.H.invokeExact(state, fd, level, option, value, length));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class ShutdownHandle {
        static final MethodHandle H = link("shutdown", FunctionDescriptor.of(INT, INT, INT));
    }

    int shutdown(int fd, int how) {
        try {
            return result((int) ShutdownHandle.H.invokeExact(state, fd, how));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class SendtoHandle {
        static final MethodHandle H =
                link("sendto", FunctionDescriptor.of(LONG, INT, POINTER, LONG, INT, POINTER, INT));
    }

    /** Sends {@code bytes} whole as one segment; {@code address} is {@link MemorySegment#NULL} when connected. */
    int sendto(int fd, MemorySegment bytes, int flags, MemorySegment address) {
        try {
            return result((long) SendtoHandle.H.invokeExact(
                    state, fd, bytes, bytes.byteSize(), flags, address, (int) address.byteSize()));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class RecvfromHandle {
        static final MethodHandle H =
                link("recvfrom", FunctionDescriptor.of(LONG, INT, POINTER, LONG, INT, POINTER, POINTER));
    }

    int recvfrom(int fd, MemorySegment bytes, int flags, MemorySegment address, MemorySegment length) {
        try {
            return result(
                    (long) RecvfromHandle.H.invokeExact(state, fd, bytes, bytes.byteSize(), flags, address, length));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class SendmsgHandle {
        static final MethodHandle H = link("sendmsg", FunctionDescriptor.of(LONG, INT, POINTER, INT));
    }

    int sendmsg(int fd, MemorySegment header, int flags) {
        try {
            return result((long) SendmsgHandle.H.invokeExact(state, fd, header, flags));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class RecvmsgHandle {
        static final MethodHandle H = link("recvmsg", FunctionDescriptor.of(LONG, INT, POINTER, INT));
    }

    int recvmsg(int fd, MemorySegment header, int flags) {
        try {
            return result((long) RecvmsgHandle.H.invokeExact(state, fd, header, flags));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    // Files

    private static final class CloseHandle {
        static final MethodHandle H = link("close", FunctionDescriptor.of(INT, INT));
    }

    /** Never to be repeated: Linux has released the number even when this fails. */
    int close(int fd) {
        try {
            return result((int) CloseHandle.H.invokeExact(state, fd));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class OpenHandle {
        static final MethodHandle H =
                link("open", FunctionDescriptor.of(INT, POINTER, INT, INT), Linker.Option.firstVariadicArg(2));
    }

    int open(String path, int flags) {
        try {
            return result((int) OpenHandle.H.invokeExact(state, string(path), flags, 0));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class FcntlHandle {
        static final MethodHandle H =
                link("fcntl", FunctionDescriptor.of(INT, INT, INT, INT), Linker.Option.firstVariadicArg(2));
    }

    int fcntl(int fd, int command, int argument) {
        try {
            return result((int) FcntlHandle.H.invokeExact(state, fd, command, argument));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class IoctlHandle {
        static final MethodHandle H =
                link("ioctl", FunctionDescriptor.of(INT, INT, LONG, POINTER), Linker.Option.firstVariadicArg(2));
    }

    int ioctl(int fd, long request, MemorySegment argument) {
        try {
            return result((int) IoctlHandle.H.invokeExact(state, fd, request, argument));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class FlockHandle {
        static final MethodHandle H = link("flock", FunctionDescriptor.of(INT, INT, INT));
    }

    int flock(int fd, int operation) {
        try {
            return result((int) FlockHandle.H.invokeExact(state, fd, operation));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class EpollCreate1Handle {
        static final MethodHandle H = link("epoll_create1", FunctionDescriptor.of(INT, INT));
    }

    int epollCreate1(int flags) {
        try {
            return result((int) EpollCreate1Handle.H.invokeExact(state, flags));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class EpollCtlHandle {
        static final MethodHandle H = link("epoll_ctl", FunctionDescriptor.of(INT, INT, INT, INT, POINTER));
    }

    int epollCtl(int epoll, int operation, int fd, MemorySegment event) {
        try {
            return result((int) EpollCtlHandle.H.invokeExact(state, epoll, operation, fd, event));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class EpollWaitHandle {
        static final MethodHandle H = link("epoll_wait", FunctionDescriptor.of(INT, INT, POINTER, INT, INT));
    }

    int epollWait(int epoll, MemorySegment events, int maximum, int timeoutMillis) {
        try {
            return result((int) EpollWaitHandle.H.invokeExact(state, epoll, events, maximum, timeoutMillis));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class ReadHandle {
        static final MethodHandle H = link("read", FunctionDescriptor.of(LONG, INT, POINTER, LONG));
    }

    int read(int fd, MemorySegment bytes) {
        try {
            return result((long) ReadHandle.H.invokeExact(state, fd, bytes, bytes.byteSize()));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class Pipe2Handle {
        static final MethodHandle H = link("pipe2", FunctionDescriptor.of(INT, POINTER, INT));
    }

    int pipe2(MemorySegment twoInts, int flags) {
        try {
            return result((int) Pipe2Handle.H.invokeExact(state, twoInts, flags));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class PollHandle {
        static final MethodHandle H = link("poll", FunctionDescriptor.of(INT, POINTER, LONG, INT));
    }

    /** Blocks: for platform threads. */
    int poll(MemorySegment pollFds, int count, int timeoutMillis) {
        try {
            return result((int) PollHandle.H.invokeExact(state, pollFds, (long) count, timeoutMillis));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    // Processes and namespaces

    private static final class WaitpidHandle {
        static final MethodHandle H = link("waitpid", FunctionDescriptor.of(INT, INT, POINTER, INT));
    }

    int waitpid(int pid, MemorySegment status, int options) {
        try {
            return result((int) WaitpidHandle.H.invokeExact(state, pid, status, options));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class PidfdOpenHandle {
        static final MethodHandle H =
                link("syscall", FunctionDescriptor.of(LONG, LONG, INT, INT), Linker.Option.firstVariadicArg(1));
    }

    /** By its number, since only glibc from 2.36 on has the function. */
    int pidfdOpen(int pid) {
        try {
            return result((long) PidfdOpenHandle.H.invokeExact(state, Constants.SYS_PIDFD_OPEN, pid, 0));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class SpawnHandles {
        static final MethodHandle SPAWN =
                link("posix_spawn", FunctionDescriptor.of(INT, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER));
        static final MethodHandle ATTRIBUTES = link("posix_spawnattr_init", FunctionDescriptor.of(INT, POINTER));
        static final MethodHandle FLAGS =
                link("posix_spawnattr_setflags", FunctionDescriptor.of(INT, POINTER, ValueLayout.JAVA_SHORT));
        static final MethodHandle MASK =
                link("posix_spawnattr_setsigmask", FunctionDescriptor.of(INT, POINTER, POINTER));
        static final MethodHandle DEFAULTS =
                link("posix_spawnattr_setsigdefault", FunctionDescriptor.of(INT, POINTER, POINTER));
        static final MethodHandle ACTIONS = link("posix_spawn_file_actions_init", FunctionDescriptor.of(INT, POINTER));
        static final MethodHandle OPEN =
                link("posix_spawn_file_actions_addopen", FunctionDescriptor.of(INT, POINTER, INT, POINTER, INT, INT));
        static final MethodHandle DUP2 =
                link("posix_spawn_file_actions_adddup2", FunctionDescriptor.of(INT, POINTER, INT, INT));
        static final MethodHandle CLOSE_FROM =
                link("posix_spawn_file_actions_addclosefrom_np", FunctionDescriptor.of(INT, POINTER, INT));
        static final MethodHandle DESTROY =
                link("posix_spawn_file_actions_destroy", FunctionDescriptor.of(INT, POINTER));
    }

    /**
     * posix_spawn(3) in a session of its own, with no signal blocked or ignored, with input from /dev/null, output and
     * errors to two descriptors, and every other descriptor closed. Returns when the program was executed or failed to
     * be, so it can hang where the program lies on a file system that does: for platform threads.
     *
     * @param arguments pointer array that ends with NULL, as is {@code environment}
     * @return the process id, or a negative error number
     */
    int spawn(String path, MemorySegment arguments, MemorySegment environment, int output, int errors) {
        try {
            // Both are opaque: 336 and 80 bytes with glibc.
            MemorySegment attributes = allocate(1024, 16);
            MemorySegment actions = allocate(512, 16);
            MemorySegment none = allocate(Constants.SIGSET_SIZE, 8);
            MemorySegment all = allocate(Constants.SIGSET_SIZE, 8).fill((byte) 0xff);
            MemorySegment pid = allocate(INT);
            int flags =
                    Constants.POSIX_SPAWN_SETSIGDEF | Constants.POSIX_SPAWN_SETSIGMASK | Constants.POSIX_SPAWN_SETSID;
            int failed = (int) SpawnHandles.ATTRIBUTES.invokeExact(state, attributes);
            failed |= (int) SpawnHandles.FLAGS.invokeExact(state, attributes, (short) flags);
            failed |= (int) SpawnHandles.MASK.invokeExact(state, attributes, none);
            failed |= (int) SpawnHandles.DEFAULTS.invokeExact(state, attributes, all);
            failed |= (int) SpawnHandles.ACTIONS.invokeExact(state, actions);
            try {
                failed |= (int) SpawnHandles.OPEN.invokeExact(state, actions, 0, string("/dev/null"), 0, 0);
                failed |= (int) SpawnHandles.DUP2.invokeExact(state, actions, output, 1);
                failed |= (int) SpawnHandles.DUP2.invokeExact(state, actions, errors, 2);
                failed |= (int) SpawnHandles.CLOSE_FROM.invokeExact(state, actions, 3);
                if (failed != 0) {
                    return -Errno.ENOMEM.number(); // the only way in which these can fail
                }
                int error = (int) SpawnHandles.SPAWN.invokeExact(
                        state, pid, string(path), actions, attributes, arguments, environment);
                return error == 0 ? pid.get(INT, 0) : -error;
            } finally {
                int destroyed = (int) SpawnHandles.DESTROY.invokeExact(state, actions);
                assert destroyed == 0;
            }
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class KillHandle {
        static final MethodHandle H = link("kill", FunctionDescriptor.of(INT, INT, INT));
    }

    int kill(int pid, int signal) {
        try {
            return result((int) KillHandle.H.invokeExact(state, pid, signal));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class PrlimitHandle {
        static final MethodHandle H = link("prlimit", FunctionDescriptor.of(INT, INT, INT, POINTER, POINTER));
    }

    /** Either pointer may be {@link MemorySegment#NULL}; pid 0 is this process. */
    int prlimit(int pid, int resource, MemorySegment newLimit, MemorySegment oldLimit) {
        try {
            return result((int) PrlimitHandle.H.invokeExact(state, pid, resource, newLimit, oldLimit));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class SetnsHandle {
        static final MethodHandle H = link("setns", FunctionDescriptor.of(INT, INT, INT));
    }

    int setns(int fd, int type) {
        try {
            return result((int) SetnsHandle.H.invokeExact(state, fd, type));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class UnshareHandle {
        static final MethodHandle H = link("unshare", FunctionDescriptor.of(INT, INT));
    }

    int unshare(int flags) {
        try {
            return result((int) UnshareHandle.H.invokeExact(state, flags));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private static final class ClockGettimeHandle {
        static final MethodHandle H = link("clock_gettime", FunctionDescriptor.of(INT, INT, POINTER));
    }

    int clockGettime(int clock, MemorySegment timespec) {
        try {
            return result((int) ClockGettimeHandle.H.invokeExact(state, clock, timespec));
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private int result(int returned) {
        return returned >= 0 ? returned : -state.get(INT, ERRNO);
    }

    private int result(long returned) {
        return returned >= 0 ? (int) returned : -state.get(INT, ERRNO);
    }

    private static MethodHandle link(String name, FunctionDescriptor signature, Linker.Option... more) {
        Linker.Option[] options = new Linker.Option[more.length + 1];
        options[0] = CAPTURE;
        System.arraycopy(more, 0, options, 1, more.length);
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), signature, options);
    }

    /** A linked handle itself throws nothing checked; what arrives here is a defect of a caller or the JVM's state. */
    private static RuntimeException unexpected(Throwable t) {
        if (t instanceof Error error) {
            throw error;
        }
        return t instanceof RuntimeException e ? e : new IllegalStateException(t);
    }
}
