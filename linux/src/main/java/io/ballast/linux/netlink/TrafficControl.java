package io.ballast.linux.netlink;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NetlinkSocket;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Puts eBPF programs in the way of packets between the network stack and an interface, as {@code tc filter} does: on a
 * queueing discipline that queues nothing, {@code clsact}, which every interface can have once (linux/rtnetlink.h,
 * pkt_cls.h, pkt_sched.h). Such a program stays when its process ends, and goes with the interface or the clsact. Kernels
 * from 6.6 on have a newer place for them (tcx), where older ones have only this.
 *
 * <p>It speaks for the network namespace of the thread that opened it. Changes need CAP_NET_ADMIN.
 */
public final class TrafficControl implements AutoCloseable {
    static final int RTM_NEWQDISC = 36;
    static final int RTM_DELQDISC = 37;
    static final int RTM_GETQDISC = 38;
    static final int RTM_NEWTFILTER = 44;
    static final int RTM_DELTFILTER = 45;
    static final int RTM_GETTFILTER = 46;

    private static final int TCM = 20; // struct tcmsg
    private static final int TCA_KIND = 1;
    private static final int TCA_OPTIONS = 2;
    private static final int TCA_BPF_FD = 6;
    private static final int TCA_BPF_NAME = 7;
    private static final int TCA_BPF_FLAGS = 8;
    private static final int TCA_BPF_FLAGS_GEN = 9;
    private static final int DIRECT_ACTION = 1; // TCA_BPF_FLAG_ACT_DIRECT: what the program returns is the verdict
    private static final int SKIP_HARDWARE = 1; // TCA_CLS_FLAGS_SKIP_HW

    private static final String CLSACT = "clsact";
    private static final int CLSACT_HANDLE = 0xffff_0000;
    private static final int CLSACT_PARENT = 0xffff_fff1; // TC_H_CLSACT
    private static final String BPF = "bpf";
    private static final int NAME_LENGTH = 256; // CLS_BPF_NAME_LEN, with a NUL

    /** Every protocol: ETH_P_ALL in the network's byte order, as a number of the machine's. */
    private static final int ANY_PROTOCOL = Short.toUnsignedInt(
            ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? Short.reverseBytes((short) 3) : (short) 3);

    /** Where on a clsact. */
    public enum Direction {
        /** Packets that have come in. */
        INGRESS(0xffff_fff2), // TC_H_MIN_INGRESS
        /** Packets on their way out. */
        EGRESS(0xffff_fff3); // TC_H_MIN_EGRESS

        private final int parent;

        Direction(int parent) {
            this.parent = parent;
        }
    }

    /**
     * A classifier that is there.
     *
     * @param link the interface's number
     * @param priority lower ones are asked first
     * @param protocol of the packets that it sees, as the kernel writes it
     * @param handle its number among those of this priority
     * @param kind {@code bpf}, {@code flower}, {@code u32}, ...
     * @param name of a program, as it was given; empty for other kinds
     */
    public record Classifier(
            int link, Direction direction, int priority, int protocol, int handle, String kind, String name) {}

    private final Netlink netlink;

    private TrafficControl(Netlink netlink) {
        this.netlink = netlink;
    }

    /** For the calling thread's network namespace. */
    public static TrafficControl open() throws IOException {
        return new TrafficControl(Netlink.open(NetlinkSocket.Family.ROUTE));
    }

    /** The numbers of the interfaces that have a clsact. */
    public Set<Integer> clsacts() throws IOException {
        return new HashSet<>(netlink.dump(getDisciplines(), TrafficControl::clsactOf, "RTM_GETQDISC"));
    }

    /** Gives an interface its clsact; EEXIST where it has one, or the older {@code ingress} in its place. */
    public void addClsact(int link) throws IOException {
        netlink.change(
                clsact(RTM_NEWQDISC, NetlinkMessage.NLM_F_CREATE | NetlinkMessage.NLM_F_EXCL, link),
                "RTM_NEWQDISC",
                () -> "clsact of interface " + link);
    }

    /** Takes it away, with all classifiers that it has, whoever put them there. */
    public void removeClsact(int link) throws IOException {
        netlink.change(clsact(RTM_DELQDISC, 0, link), "RTM_DELQDISC", () -> "clsact of interface " + link);
    }

    /** All classifiers of an interface in one direction; none where it has no clsact. */
    public List<Classifier> classifiers(int link, Direction direction) throws IOException {
        try {
            return netlink.dump(
                    getClassifiers(link, direction), message -> classifier(message, direction), "RTM_GETTFILTER");
        } catch (LinuxException e) {
            if (e.errno() == Errno.ENODEV) {
                return List.of();
            }
            throw e;
        }
    }

    /**
     * Adds a program, which sees every packet before the other classifiers of the first priority that takes programs,
     * and whose result is the verdict ({@code TC_ACT_UNSPEC} asks the others).
     *
     * @param program its descriptor
     * @param name to know it by later; at most 255 bytes
     */
    public void add(int link, Direction direction, int program, String name) throws IOException {
        Set<Integer> taken = new HashSet<>();
        for (Classifier each : classifiers(link, direction)) {
            if (!each.kind().equals(BPF) || each.protocol() != ANY_PROTOCOL) {
                taken.add(each.priority());
            }
        }
        int priority = 1;
        while (taken.contains(priority)) {
            priority++;
        }
        put(
                new Classifier(link, direction, priority, ANY_PROTOCOL, 0, BPF, name),
                NetlinkMessage.NLM_F_CREATE | NetlinkMessage.NLM_F_EXCL,
                program);
    }

    /** Puts another program in the place of one that {@link #classifiers} has named, between two packets. */
    public void replace(Classifier known, int program) throws IOException {
        put(known, NetlinkMessage.NLM_F_CREATE, program);
    }

    private void put(Classifier classifier, int flags, int program) throws IOException {
        netlink.change(putProgram(classifier, flags, program), "RTM_NEWTFILTER", () -> text(classifier));
    }

    /** Removes one that {@link #classifiers} has named; ENOENT where it is gone. */
    public void remove(Classifier known) throws IOException {
        netlink.change(removal(known), "RTM_DELTFILTER", () -> text(known));
    }

    private static String text(Classifier classifier) {
        return classifier.name() + " on interface " + classifier.link();
    }

    // Messages.

    private static NetlinkMessage.Writer request(int type, int flags, int link, int handle, int parent, int info) {
        return new NetlinkMessage.Writer(type, flags)
                .i32(0)
                .i32(link)
                .i32(handle)
                .i32(parent)
                .i32(info);
    }

    static NetlinkMessage.Writer getDisciplines() {
        return request(RTM_GETQDISC, NetlinkMessage.NLM_F_DUMP, 0, 0, 0, 0);
    }

    static NetlinkMessage.Writer clsact(int type, int flags, int link) {
        return request(type, flags, link, CLSACT_HANDLE, CLSACT_PARENT, 0).attribute(TCA_KIND, CLSACT);
    }

    static NetlinkMessage.Writer getClassifiers(int link, Direction direction) {
        return request(RTM_GETTFILTER, NetlinkMessage.NLM_F_DUMP, link, 0, direction.parent, 0);
    }

    private static NetlinkMessage.Writer of(int type, int flags, Classifier classifier) {
        // A zero would name all of them.
        if (classifier.priority() == 0 || (type == RTM_DELTFILTER && classifier.handle() == 0)) {
            throw new IllegalArgumentException("no classifier of its own: " + classifier);
        }
        return request(
                        type,
                        flags,
                        classifier.link(),
                        classifier.handle(),
                        classifier.direction().parent,
                        (classifier.priority() << 16) | classifier.protocol())
                .attribute(TCA_KIND, classifier.kind());
    }

    static NetlinkMessage.Writer putProgram(Classifier classifier, int flags, int program) {
        if (classifier.name().getBytes(StandardCharsets.UTF_8).length >= NAME_LENGTH) {
            throw new IllegalArgumentException("a name of more than 255 bytes: " + classifier.name());
        }
        NetlinkMessage.Writer request = of(RTM_NEWTFILTER, flags, classifier);
        int options = request.begin(TCA_OPTIONS);
        request.attributeI32(TCA_BPF_FD, program)
                .attribute(TCA_BPF_NAME, classifier.name())
                .attributeI32(TCA_BPF_FLAGS_GEN, SKIP_HARDWARE)
                .attributeI32(TCA_BPF_FLAGS, DIRECT_ACTION);
        return request.end(options);
    }

    static NetlinkMessage.Writer removal(Classifier classifier) {
        return of(RTM_DELTFILTER, 0, classifier);
    }

    private static @Nullable Integer clsactOf(NetlinkMessage message) throws MalformedMessageException {
        if (message.type() != RTM_NEWQDISC) {
            return null;
        }
        int link = message.header(TCM).getInt(4);
        return CLSACT.equals(message.attributes(TCM).text(TCA_KIND)) ? link : null;
    }

    /** Null for what the kernel tells of a priority as a whole. */
    static @Nullable Classifier classifier(NetlinkMessage message, Direction direction)
            throws MalformedMessageException {
        if (message.type() != RTM_NEWTFILTER) {
            return null;
        }
        ByteBuffer header = message.header(TCM);
        int handle = header.getInt(8);
        if (handle == 0) {
            return null;
        }
        NetlinkMessage.Attributes attributes = message.attributes(TCM);
        String kind = attributes.text(TCA_KIND);
        String name = BPF.equals(kind) ? attributes.nested(TCA_OPTIONS).text(TCA_BPF_NAME) : null;
        int info = header.getInt(16);
        return new Classifier(
                header.getInt(4),
                direction,
                info >>> 16,
                info & 0xffff,
                handle,
                kind == null ? "" : kind,
                name == null ? "" : name);
    }

    @Override
    public void close() {
        netlink.close();
    }
}
