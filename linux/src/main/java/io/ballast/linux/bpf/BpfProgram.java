package io.ballast.linux.bpf;

import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.Kernel;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.IntStream;

/** A program that the kernel's verifier has accepted. */
public final class BpfProgram implements AutoCloseable {
    private static final int XDP = 6; // BPF_PROG_TYPE_XDP
    private static final byte MOVE_IMMEDIATE = (byte) 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K, to register 0
    private static final byte EXIT = (byte) 0x95; // BPF_JMP | BPF_EXIT
    private static final int INFO_SIZE = 232; // struct bpf_prog_info
    private static final int CONTEXT_SIZE = 24; // struct xdp_md
    private static final int LIVE_FRAMES = 1 << 1; // BPF_F_TEST_XDP_LIVE_FRAMES
    private static final int MAX_MAPS = 64; // MAX_USED_MAPS of the verifier

    private final Descriptor descriptor;

    /**
     * What the kernel says about a program.
     *
     * @param type {@code enum bpf_prog_type}: 6 for XDP
     * @param id its number in this kernel
     * @param tag a hash of its instructions, in hexadecimal digits
     * @param name the first 15 characters of its name
     * @param mapIds the numbers of the maps that it uses
     * @param verified instructions that the verifier walked through; 0 before kernel 5.16
     */
    public record Info(int type, int id, String tag, String name, List<Integer> mapIds, int verified) {}

    private BpfProgram(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /** Takes ownership; on failure the descriptor is closed. */
    static BpfProgram of(Descriptor descriptor) throws IOException {
        try {
            Bpf.requireKind(descriptor, "bpf-prog");
            return new BpfProgram(descriptor);
        } catch (IOException | RuntimeException e) {
            descriptor.close();
            throw e;
        }
    }

    /**
     * An XDP program that lets every packet pass. A veth takes what a program at its other end transmits only where it
     * has a program itself, and this is one. Needs CAP_BPF and CAP_NET_ADMIN.
     */
    public static BpfProgram passing() throws IOException {
        return constant(XdpAction.PASS, "passing");
    }

    /** An XDP program that drops every packet. Needs CAP_BPF and CAP_NET_ADMIN. */
    public static BpfProgram dropping() throws IOException {
        return constant(XdpAction.DROP, "dropping");
    }

    private static BpfProgram constant(XdpAction action, String name) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment instructions = kernel.allocate(16, 8);
            instructions.set(ValueLayout.JAVA_BYTE, 0, MOVE_IMMEDIATE); // r0 = ...
            instructions.set(ValueLayout.JAVA_INT, 4, action.number());
            instructions.set(ValueLayout.JAVA_BYTE, 8, EXIT);
            MemorySegment attributes = Bpf.attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, XDP);
            attributes.set(ValueLayout.JAVA_INT, 4, 2);
            attributes.set(ValueLayout.JAVA_LONG, 8, instructions.address());
            attributes.set(
                    ValueLayout.JAVA_LONG, 16, kernel.string("Apache-2.0").address());
            Bpf.setName(attributes, 48, name);
            int fd = Bpf.check(kernel.bpf(Bpf.PROG_LOAD, attributes), "load", "the XDP program " + name);
            return of(Descriptor.own(fd, name));
        }
    }

    /** The program pinned at a path. */
    public static BpfProgram openPinned(Path path) throws IOException {
        return of(Bpf.openPinned(path));
    }

    /** The program with a number in this kernel. Needs CAP_SYS_ADMIN. */
    public static BpfProgram byId(int id) throws IOException {
        return of(Bpf.openById(Bpf.PROG_GET_FD_BY_ID, id, "program " + id));
    }

    /** Its name or path, for messages. */
    public String label() {
        return descriptor.label();
    }

    /** The descriptor's number, still owned here. */
    public int fd() {
        return descriptor.fd();
    }

    /** Asks the kernel about it. */
    public Info info() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment info = kernel.allocate(INFO_SIZE, 8);
            MemorySegment maps = kernel.allocate(MAX_MAPS * 4, 4);
            info.set(ValueLayout.JAVA_INT, 52, MAX_MAPS);
            info.set(ValueLayout.JAVA_LONG, 56, maps.address());
            Bpf.info(kernel, descriptor, info);
            int count = Math.min(MAX_MAPS, info.get(ValueLayout.JAVA_INT, 52));
            return new Info(
                    info.get(ValueLayout.JAVA_INT, 0),
                    info.get(ValueLayout.JAVA_INT, 4),
                    HexFormat.of().formatHex(info.asSlice(8, 8).toArray(ValueLayout.JAVA_BYTE)),
                    Bpf.name(info, 64),
                    IntStream.range(0, count)
                            .mapToObj(i -> maps.getAtIndex(ValueLayout.JAVA_INT, i))
                            .toList(),
                    info.get(ValueLayout.JAVA_INT, 216));
        }
    }

    /**
     * Lets copies of a frame, from its Ethernet header on, come in as from an interface of the calling thread's network
     * namespace, through this XDP program (kernel 5.18 and newer). Needs CAP_BPF and CAP_NET_ADMIN.
     */
    public void inject(byte[] frame, int ifindex, int count) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment packet = kernel.allocateFrom(ValueLayout.JAVA_BYTE, frame);
            var _ = testRun(TestRun.of(packet).from(ifindex, 0).times(count).live(0));
        }
    }

    /** Runs an XDP program on a frame. Needs CAP_BPF and CAP_NET_ADMIN. */
    public TestRun.Result testRun(TestRun run) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            long length = run.packet().byteSize();
            MemorySegment out = run.out();
            MemorySegment attributes = Bpf.attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, fd());
            attributes.set(ValueLayout.JAVA_INT, 8, (int) length);
            attributes.set(ValueLayout.JAVA_LONG, 16, Bpf.address(run.packet(), 0, label() + ": packet"));
            if (out != null) {
                attributes.set(ValueLayout.JAVA_INT, 12, (int) out.byteSize());
                attributes.set(ValueLayout.JAVA_LONG, 24, Bpf.address(out, 0, label() + ": out"));
            }
            attributes.set(ValueLayout.JAVA_INT, 32, run.repeat());
            if (run.ingressIfindex() != 0) {
                MemorySegment context = kernel.allocate(CONTEXT_SIZE, 8);
                context.set(ValueLayout.JAVA_INT, 4, (int) length); // data_end, counted from data
                context.set(ValueLayout.JAVA_INT, 12, run.ingressIfindex());
                context.set(ValueLayout.JAVA_INT, 16, run.rxQueue());
                attributes.set(ValueLayout.JAVA_INT, 40, CONTEXT_SIZE);
                attributes.set(ValueLayout.JAVA_LONG, 48, context.address());
            }
            if (run.liveFrames()) {
                attributes.set(ValueLayout.JAVA_INT, 64, LIVE_FRAMES);
                attributes.set(ValueLayout.JAVA_INT, 72, run.batch());
            }
            int result = kernel.bpf(Bpf.PROG_TEST_RUN, attributes);
            if (result == -Errno.ENOSPC.number()) {
                throw new LinuxException(
                        -result,
                        "test run",
                        label(),
                        "the frame that came out has " + attributes.get(ValueLayout.JAVA_INT, 12) + " bytes");
            }
            Bpf.check(result, "test run", label());
            return new TestRun.Result(
                    attributes.get(ValueLayout.JAVA_INT, 4),
                    attributes.get(ValueLayout.JAVA_INT, 12),
                    attributes.get(ValueLayout.JAVA_INT, 36));
        }
    }

    /** Makes it findable at a path in a bpffs, where it outlives this process; EEXIST when the path is taken. */
    public void pin(Path path) throws IOException {
        Bpf.pin(descriptor, path);
    }

    /** Closes the descriptor; the program stays as long as a link, a pin or another descriptor holds it. */
    @Override
    public void close() {
        descriptor.close();
    }

    @Override
    public String toString() {
        return label() + ": program (fd " + (descriptor.isOpen() ? descriptor.fd() : -1) + ")";
    }
}
