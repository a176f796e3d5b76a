package io.ballast.linux.bpf;

import io.ballast.linux.Capability;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.Kernel;
import io.ballast.linux.LinuxException;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * An XDP program's place at an interface, as a bpf_link (kernel 5.9 and newer): nobody but the link's holder replaces or
 * removes the program. The place lives as long as a descriptor or a pin holds the link. Pin it, and packets are handled
 * while no process of ours runs; {@link #update} then changes the program between two packets.
 *
 * <p>When the interface goes, the link stays and holds nothing ({@link Info#ifindex()} is 0); one that comes back needs
 * a new link.
 */
public final class XdpLink implements AutoCloseable {
    private static final int BPF_XDP = 37; // enum bpf_attach_type
    private static final int BPF_F_REPLACE = 1 << 2;
    private static final int BPF_LINK_TYPE_XDP = 6;
    private static final int INFO_SIZE = 64; // struct bpf_link_info, with room for what newer kernels add

    private final Descriptor descriptor;

    /** Where in the receive path the program runs. */
    public enum Mode {
        /** In the driver, before the kernel makes a buffer of its own (XDP_FLAGS_DRV_MODE). */
        NATIVE(1 << 2),
        /** After it: works with every driver and is several times slower (XDP_FLAGS_SKB_MODE). */
        GENERIC(1 << 1);

        private final int flag;

        Mode(int flag) {
            this.flag = flag;
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * What the kernel says about a link.
     *
     * @param id its number in this kernel
     * @param programId the number of the program that runs now
     * @param ifindex the interface, in the network namespace where it was attached; 0 when it is gone
     */
    public record Info(int id, int programId, int ifindex) {}

    /**
     * A program that is attached to an interface, by whomever.
     *
     * @param programId its number; 0 when there are several
     * @param program its name, or empty when that could not be asked (it needs CAP_SYS_ADMIN)
     * @param mode null for hardware offload or several
     */
    public record Attached(
            int programId, String program, @Nullable Mode mode) {
        @Override
        public String toString() {
            return "XDP program " + programId + (program.isEmpty() ? "" : " \"" + program + "\"") + " is attached"
                    + (mode == null ? "" : " in " + mode + " mode");
        }
    }

    private XdpLink(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /**
     * Attaches a program to an interface of the calling thread's network namespace. Needs CAP_BPF and CAP_NET_ADMIN.
     *
     * @param device the interface's name, for messages
     * @throws LinuxException EBUSY or EEXIST, with the program's number and name, when another program is attached;
     *     EOPNOTSUPP when the driver has no native mode; EINVAL when there is no such interface, or the driver refuses
     */
    public static XdpLink attach(BpfProgram program, int ifindex, String device, Mode mode) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = Bpf.attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, program.fd());
            attributes.set(ValueLayout.JAVA_INT, 4, ifindex);
            attributes.set(ValueLayout.JAVA_INT, 8, BPF_XDP);
            attributes.set(ValueLayout.JAVA_INT, 12, mode.flag);
            int result = kernel.bpf(Bpf.LINK_CREATE, attributes);
            if (result < 0) {
                throw new LinuxException(
                        -result,
                        "attach",
                        program.label() + " to " + device + " in " + mode + " mode",
                        why(-result, ifindex));
            }
            return new XdpLink(Descriptor.own(result, "XDP link of " + device));
        }
    }

    private static @Nullable String why(int number, int ifindex) throws IOException {
        return switch (Errno.of(number)) {
            case EBUSY, EEXIST -> attached(ifindex).map(Attached::toString).orElse("another program was attached");
            case EOPNOTSUPP -> "the driver has no native XDP";
            case ERANGE -> "the driver refuses: the MTU is too large for XDP";
            case ENOSPC -> "the driver refuses: it has too few queues for XDP";
            case EINVAL ->
                link(ifindex).isEmpty()
                        ? "there is no interface with index " + ifindex + " in this network namespace"
                        : "the driver refuses: the MTU may be too large for XDP, or an offload be on";
            default -> Bpf.hint(number);
        };
    }

    /** The program attached to an interface of the calling thread's network namespace; none where it is not there. */
    public static Optional<Attached> attached(int ifindex) throws IOException {
        Link.Xdp xdp = link(ifindex).map(Link::xdp).orElse(null);
        if (xdp == null) {
            return Optional.empty();
        }
        Mode mode = switch (xdp.mode()) {
            case DRIVER -> Mode.NATIVE;
            case GENERIC -> Mode.GENERIC;
            case HARDWARE, MULTIPLE -> null;
        };
        return Optional.of(new Attached(xdp.program(), nameOf(xdp.program()), mode));
    }

    private static Optional<Link> link(int ifindex) throws IOException {
        try (RouteNetlink netlink = RouteNetlink.open()) {
            return netlink.link(ifindex);
        }
    }

    private static String nameOf(int programId) throws IOException {
        if (programId == 0 || !Capability.SYS_ADMIN.isEffective()) {
            return "";
        }
        try (BpfProgram program = BpfProgram.byId(programId)) {
            return program.info().name();
        } catch (LinuxException e) {
            if (e.errno() == Errno.ENOENT) {
                return ""; // gone since it was seen
            }
            throw e;
        }
    }

    /**
     * The link pinned at a path.
     *
     * @throws WrongPinException when something else is pinned there
     */
    public static XdpLink openPinned(Path path) throws IOException {
        Descriptor descriptor = Bpf.openPinned(path);
        try {
            XdpLink link = new XdpLink(descriptor);
            try (Kernel kernel = Kernel.open()) {
                int type = link.rawInfo(kernel).get(ValueLayout.JAVA_INT, 0);
                if (type != BPF_LINK_TYPE_XDP) {
                    throw new WrongPinException(path, "link of type " + type, "link of an XDP program");
                }
            }
            return link;
        } catch (IOException | RuntimeException e) {
            descriptor.close();
            throw e;
        }
    }

    private MemorySegment rawInfo(Kernel kernel) throws IOException {
        // The kernel would answer for maps and programs too, with something else.
        Bpf.requireKind(descriptor, "bpf_link", "bpf-link");
        MemorySegment info = kernel.allocate(INFO_SIZE, 8);
        Bpf.info(kernel, descriptor, info);
        return info;
    }

    /** Asks the kernel about it. */
    public Info info() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment info = rawInfo(kernel);
            return new Info(
                    info.get(ValueLayout.JAVA_INT, 4),
                    info.get(ValueLayout.JAVA_INT, 8),
                    info.get(ValueLayout.JAVA_INT, 16));
        }
    }

    /**
     * Puts another program in the place of the one that runs, between two packets.
     *
     * @throws LinuxException ENOLINK when the interface is gone
     */
    public void update(BpfProgram program) throws IOException {
        update(program, null);
    }

    /**
     * As {@link #update(BpfProgram)}, but only when a certain program runs now.
     *
     * @throws LinuxException EPERM when it is another
     */
    public void update(BpfProgram program, @Nullable BpfProgram expected) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = Bpf.attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, descriptor.fd());
            attributes.set(ValueLayout.JAVA_INT, 4, program.fd());
            if (expected != null) {
                attributes.set(ValueLayout.JAVA_INT, 8, BPF_F_REPLACE);
                attributes.set(ValueLayout.JAVA_INT, 12, expected.fd());
            }
            int result = kernel.bpf(Bpf.LINK_UPDATE, attributes);
            String object = descriptor.label() + " to " + program.label();
            if (result == -Errno.ENOLINK.number()) {
                throw new LinuxException(-result, "update", object, "the interface is gone");
            }
            if (result == -Errno.EPERM.number() && expected != null) {
                throw new LinuxException(
                        -result, "update", object, "another program than " + expected.label() + " runs");
            }
            Bpf.check(result, "update", object);
        }
    }

    /** Takes the program off the interface now, whoever else holds the link. */
    public void detach() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = Bpf.attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, descriptor.fd());
            Bpf.check(kernel.bpf(Bpf.LINK_DETACH, attributes), "detach", descriptor.label());
        }
    }

    /** Makes it findable at a path in a bpffs, where it outlives this process; EEXIST when the path is taken. */
    public void pin(Path path) throws IOException {
        Bpf.pin(descriptor, path);
    }

    /** Closes the descriptor: the program stays attached when the link is pinned, and goes otherwise. */
    @Override
    public void close() {
        descriptor.close();
    }

    @Override
    public String toString() {
        return descriptor.toString();
    }
}
