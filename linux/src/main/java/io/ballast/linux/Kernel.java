package io.ballast.linux;

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
 * The system calls that the room uses, and the native memory of one operation: open one, allocate arguments from it,
 * call, read the results, close it.
 *
 * <pre>{@code
 * try (Kernel kernel = Kernel.open()) {
 *     int result = kernel.listen(fd, 128); // negative error number on failure, as the kernel itself returns it
 * }
 * }</pre>
 *
 * <p>All go through the C library's syscall(2) and so through one linked handle: each function of its own would cost
 * milliseconds when it is first used, and a worker that replaces a killed one has none to spare. The price is the table
 * of numbers for x86_64 and aarch64. The structures passed are the same on both, except {@code epoll_event}, which
 * {@link Poller} handles.
 *
 * <p>Public for the packages below this one only; other rooms use what those offer (a rule of the build checks it).
 *
 * <p>An instance is confined to the thread that opened it. errno is captured by the linker in the same transition as
 * the call, so nothing that the JVM does in between can change it.
 */
public final class Kernel implements AutoCloseable, SegmentAllocator {
    private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
    private static final long ERRNO = STATE.byteOffset(MemoryLayout.PathElement.groupElement("errno"));
    private static final MethodHandle SYSCALL = link();

    // asm/unistd_64.h and asm-generic/unistd.h
    private static final int EPOLL_CTL = number(233, 21);
    private static final int EPOLL_PWAIT = number(281, 22);
    private static final int EPOLL_CREATE1 = number(291, 20);
    private static final int READ = number(0, 63);
    private static final int WRITE = number(1, 64);
    private static final int PIPE2 = number(293, 59);
    private static final int PPOLL = number(271, 73);
    private static final int CLOSE = number(3, 57);
    private static final int IOCTL = number(16, 29);
    private static final int FCNTL = number(72, 25);
    private static final int FLOCK = number(73, 32);
    private static final int OPENAT = number(257, 56);
    private static final int SOCKET = number(41, 198);
    private static final int SOCKETPAIR = number(53, 199);
    private static final int BIND = number(49, 200);
    private static final int LISTEN = number(50, 201);
    private static final int ACCEPT4 = number(288, 242);
    private static final int CONNECT = number(42, 203);
    private static final int GETSOCKNAME = number(51, 204);
    private static final int SENDTO = number(44, 206);
    private static final int RECVFROM = number(45, 207);
    private static final int SETSOCKOPT = number(54, 208);
    private static final int GETSOCKOPT = number(55, 209);
    private static final int SHUTDOWN = number(48, 210);
    private static final int SENDMSG = number(46, 211);
    private static final int RECVMSG = number(47, 212);
    private static final int KILL = number(62, 129);
    private static final int WAIT4 = number(61, 260);
    private static final int PIDFD_OPEN = number(434, 434);
    private static final int PRLIMIT64 = number(302, 261);
    private static final int UNSHARE = number(272, 97);
    private static final int SETNS = number(308, 268);
    private static final int CLOCK_GETTIME = number(228, 113);
    private static final int MMAP = number(9, 222);
    private static final int MUNMAP = number(11, 215);
    private static final int BPF = number(321, 280);
    private static final int MOUNT = number(165, 40);
    private static final int UMOUNT2 = number(166, 39);
    private static final int STATFS = number(137, 43);
    private static final int MKNODAT = number(259, 33);
    private static final int SETSID = number(112, 157);
    private static final int PRCTL = number(157, 167);
    private static final int CAPSET = number(126, 91);

    private static final int SCHED_SETSCHEDULER = number(144, 119);
    private static final int EVENTFD2 = number(290, 19);

    private static final int IO_URING_SETUP = number(425, 425);
    private static final int IO_URING_ENTER = number(426, 426);

    private static final int AT_FDCWD = -100;
    private static final int SIGSET_SIZE = 8;

    private final Arena arena;
    private final MemorySegment state;

    private Kernel(Arena arena) {
        this.arena = arena;
        this.state = arena.allocate(STATE);
    }

    /** Begins an operation of the calling thread. */
    public static Kernel open() {
        return new Kernel(Arena.ofConfined());
    }

    @Override
    public MemorySegment allocate(long byteSize, long byteAlignment) {
        return arena.allocate(byteSize, byteAlignment);
    }

    /** A NUL-terminated string. */
    public MemorySegment string(String text) {
        return arena.allocateFrom(text, StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        arena.close();
    }

    private static final class Page {
        static final long SIZE = read();

        private static long read() {
            Linker linker = Linker.nativeLinker();
            try {
                return (int) linker.downcallHandle(
                                linker.defaultLookup().findOrThrow("getpagesize"),
                                FunctionDescriptor.of(ValueLayout.JAVA_INT))
                        .invokeExact();
            } catch (Throwable t) {
                throw new IllegalStateException("getpagesize", t);
            }
        }
    }

    /** Bytes of a page of memory: 4096, or on aarch64 also 16384 or 65536. */
    public static long pageSize() {
        return Page.SIZE;
    }

    int socket(int domain, int type, int protocol) {
        return call(SOCKET, domain, type, protocol, 0, 0, 0);
    }

    int socketpair(int domain, int type, int protocol, MemorySegment twoInts) {
        return call(SOCKETPAIR, domain, type, protocol, twoInts.address(), 0, 0);
    }

    int bind(int fd, MemorySegment address) {
        return call(BIND, fd, address.address(), address.byteSize(), 0, 0, 0);
    }

    int listen(int fd, int backlog) {
        return call(LISTEN, fd, backlog, 0, 0, 0, 0);
    }

    int accept4(int fd, int flags) {
        return call(ACCEPT4, fd, 0, 0, flags, 0, 0);
    }

    int connect(int fd, MemorySegment address) {
        return call(CONNECT, fd, address.address(), address.byteSize(), 0, 0, 0);
    }

    int getsockname(int fd, MemorySegment address, MemorySegment length) {
        return call(GETSOCKNAME, fd, address.address(), length.address(), 0, 0, 0);
    }

    int setsockopt(int fd, int level, int option, MemorySegment value) {
        return call(SETSOCKOPT, fd, level, option, value.address(), value.byteSize(), 0);
    }

    int setsockopt(int fd, int level, int option, int value) {
        return setsockopt(fd, level, option, arena.allocateFrom(ValueLayout.JAVA_INT, value));
    }

    int getsockopt(int fd, int level, int option, MemorySegment value, MemorySegment length) {
        return call(GETSOCKOPT, fd, level, option, value.address(), length.address(), 0);
    }

    int shutdown(int fd, int how) {
        return call(SHUTDOWN, fd, how, 0, 0, 0, 0);
    }

    /** Sends the whole segment; {@code address} is {@link MemorySegment#NULL} when connected. */
    int sendto(int fd, MemorySegment bytes, int flags, MemorySegment address) {
        return call(SENDTO, fd, bytes.address(), bytes.byteSize(), flags, address.address(), address.byteSize());
    }

    /** Receives into the whole segment; both of the last are {@link MemorySegment#NULL} to not ask who sent. */
    int recvfrom(int fd, MemorySegment bytes, int flags, MemorySegment address, MemorySegment length) {
        return call(RECVFROM, fd, bytes.address(), bytes.byteSize(), flags, address.address(), length.address());
    }

    int sendmsg(int fd, MemorySegment header, int flags) {
        return call(SENDMSG, fd, header.address(), flags, 0, 0, 0);
    }

    int recvmsg(int fd, MemorySegment header, int flags) {
        return call(RECVMSG, fd, header.address(), flags, 0, 0, 0);
    }

    /** Never to be repeated: Linux has released the number even when this fails. */
    int close(int fd) {
        return call(CLOSE, fd, 0, 0, 0, 0, 0);
    }

    /** Opens an existing file. */
    int open(String path, int flags) {
        return call(OPENAT, AT_FDCWD, string(path).address(), flags, 0, 0, 0);
    }

    /** Makes a file that is none: the mode says what, and who may what. */
    int mknod(String path, int mode) {
        return call(MKNODAT, AT_FDCWD, string(path).address(), mode, 0, 0, 0);
    }

    int read(int fd, MemorySegment bytes) {
        return call(READ, fd, bytes.address(), bytes.byteSize(), 0, 0, 0);
    }

    int write(int fd, MemorySegment bytes) {
        return call(WRITE, fd, bytes.address(), bytes.byteSize(), 0, 0, 0);
    }

    int pipe2(MemorySegment twoInts, int flags) {
        return call(PIPE2, twoInts.address(), flags, 0, 0, 0, 0);
    }

    /** Blocks: for platform threads. */
    public int poll(MemorySegment pollFds, int count, int timeoutMillis) {
        return pollNanos(pollFds, count, timeoutMillis * 1_000_000L);
    }

    /** Blocks: for platform threads. */
    int pollNanos(MemorySegment pollFds, int count, long nanos) {
        MemorySegment timeout =
                arena.allocateFrom(ValueLayout.JAVA_LONG, nanos / 1_000_000_000, nanos % 1_000_000_000); // timespec
        return call(PPOLL, pollFds.address(), count, timeout.address(), 0, SIGSET_SIZE, 0);
    }

    int fcntl(int fd, int command, int argument) {
        return call(FCNTL, fd, command, argument, 0, 0, 0);
    }

    /** A second number for the same open file, closed on exec. */
    public int duplicate(int fd) {
        return fcntl(fd, Constants.F_DUPFD_CLOEXEC, 0);
    }

    int ioctl(int fd, long request, MemorySegment argument) {
        return call(IOCTL, fd, request, argument.address(), 0, 0, 0);
    }

    int flock(int fd, int operation) {
        return call(FLOCK, fd, operation, 0, 0, 0, 0);
    }

    int epollCreate1(int flags) {
        return call(EPOLL_CREATE1, flags, 0, 0, 0, 0, 0);
    }

    int epollCtl(int epoll, int operation, int fd, MemorySegment event) {
        return call(EPOLL_CTL, epoll, operation, fd, event.address(), 0, 0);
    }

    /** aarch64 has only the form with a signal mask, here none. */
    int epollWait(int epoll, MemorySegment events, int maximum, int timeoutMillis) {
        return call(EPOLL_PWAIT, epoll, events.address(), maximum, timeoutMillis, 0, SIGSET_SIZE);
    }

    int kill(int pid, int signal) {
        return call(KILL, pid, signal, 0, 0, 0, 0);
    }

    int waitpid(int pid, MemorySegment status, int options) {
        return call(WAIT4, pid, status.address(), options, 0, 0, 0);
    }

    int pidfdOpen(int pid) {
        return call(PIDFD_OPEN, pid, 0, 0, 0, 0, 0);
    }

    /** Either limit may be {@link MemorySegment#NULL}; pid 0 is this process. */
    int prlimit(int pid, int resource, MemorySegment newLimit, MemorySegment oldLimit) {
        return call(PRLIMIT64, pid, resource, newLimit.address(), oldLimit.address(), 0, 0);
    }

    int setsid() {
        return call(SETSID, 0, 0, 0, 0, 0, 0);
    }

    int prctl(int option, long argument) {
        return call(PRCTL, option, argument, 0, 0, 0, 0);
    }

    /** The header is a {@code struct __user_cap_header_struct}, the data two {@code __user_cap_data_struct}. */
    int capset(MemorySegment header, MemorySegment data) {
        return call(CAPSET, header.address(), data.address(), 0, 0, 0, 0);
    }

    int setns(int fd, int type) {
        return call(SETNS, fd, type, 0, 0, 0, 0);
    }

    int unshare(int flags) {
        return call(UNSHARE, flags, 0, 0, 0, 0, 0);
    }

    int clockGettime(int clock, MemorySegment timespec) {
        return call(CLOCK_GETTIME, clock, timespec.address(), 0, 0, 0, 0);
    }

    /** The new mapping's address, or a negative error number; the kernel chooses the place. */
    public long mmap(long length, int protection, int flags, int fd, long offset) {
        return callLong(MMAP, 0, length, protection, flags, fd, offset);
    }

    /** Ends a mapping; nothing may use its addresses any more. */
    public int munmap(MemorySegment mapping) {
        return call(MUNMAP, mapping.address(), mapping.byteSize(), 0, 0, 0, 0);
    }

    /** bpf(2): the command's attributes are the whole segment. */
    public int bpf(int command, MemorySegment attributes) {
        return call(BPF, command, attributes.address(), attributes.byteSize(), 0, 0, 0);
    }

    /** Mounts a file system that has no device. */
    public int mount(String source, String target, String type, long flags, String options) {
        return call(
                MOUNT,
                string(source).address(),
                string(target).address(),
                string(type).address(),
                flags,
                string(options).address(),
                0);
    }

    /** Unmounts; flags as in umount2(2). */
    public int umount(String target, int flags) {
        return call(UMOUNT2, string(target).address(), flags, 0, 0, 0, 0);
    }

    /** Fills a {@code struct statfs}, 120 bytes on both machines. */
    public int statfs(String path, MemorySegment statfs) {
        return call(STATFS, string(path).address(), statfs.address(), 0, 0, 0, 0);
    }

    /** Of the calling thread; the parameter is a {@code struct sched_param}. */
    int schedSetscheduler(int policy, MemorySegment parameter) {
        return call(SCHED_SETSCHEDULER, 0, policy, parameter.address(), 0, 0, 0);
    }

    int eventfd(int flags) {
        return call(EVENTFD2, 0, flags, 0, 0, 0, 0);
    }

    /** Fills a {@code struct io_uring_params}; the new ring's descriptor. */
    int ioUringSetup(int entries, MemorySegment params) {
        return call(IO_URING_SETUP, entries, params.address(), 0, 0, 0, 0);
    }

    /** How many requests were taken, after waiting for so many to be over. */
    int ioUringEnter(int fd, int submit, int complete, int flags) {
        return call(IO_URING_ENTER, fd, submit, complete, flags, 0, 0);
    }

    private int call(int number, long a, long b, long c, long d, long e, long f) {
        return (int) callLong(number, a, b, c, d, e, f);
    }

    /** Pointers are addresses of segments that the caller keeps open. */
    private long callLong(int number, long a, long b, long c, long d, long e, long f) {
        try {
            long result = (long) SYSCALL.invokeExact(state, (long) number, a, b, c, d, e, f);
            return result >= 0 ? result : -state.get(ValueLayout.JAVA_INT, ERRNO);
        } catch (Throwable t) {
            // A linked handle throws nothing of its own: a defect here, or the JVM's state.
            throw new IllegalStateException("system call " + number, t);
        }
    }

    private static MethodHandle link() {
        ValueLayout.OfLong word = ValueLayout.JAVA_LONG;
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(
                linker.defaultLookup().findOrThrow("syscall"),
                FunctionDescriptor.of(word, word, word, word, word, word, word, word),
                Linker.Option.captureCallState("errno"),
                Linker.Option.firstVariadicArg(1));
    }

    private static int number(int x8664, int aarch64) {
        return switch (System.getProperty("os.arch", "")) {
            case "amd64", "x86_64" -> x8664;
            case "aarch64" -> aarch64;
            case String other ->
                throw new UnsupportedOperationException("Ballast runs on x86_64 and aarch64, not on " + other);
        };
    }
}
