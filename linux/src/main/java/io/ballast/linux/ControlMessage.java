package io.ballast.linux;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The arguments of sendmsg and recvmsg: {@code struct msghdr} with one {@code struct iovec} and room for descriptors
 * (SCM_RIGHTS, unix(7)), in the layout of 64-bit Linux.
 */
final class ControlMessage {
    /** Descriptors in one message; the kernel's SCM_MAX_FD. */
    static final int MAX_DESCRIPTORS = 253;

    private static final int MSGHDR_SIZE = 56;
    private static final int MSG_IOV = 16;
    private static final int MSG_IOVLEN = 24;
    private static final int MSG_CONTROL = 32;
    private static final int MSG_CONTROLLEN = 40;
    private static final int MSG_FLAGS = 48;
    private static final int IOVEC_SIZE = 16;
    private static final int IOV_BASE = 0;
    private static final int IOV_LEN = 8;
    private static final int CMSG_HEADER = 16;
    private static final int CMSG_LEN = 0;
    private static final int CMSG_LEVEL = 8;
    private static final int CMSG_TYPE = 12;
    private static final long CONTROL_SIZE = align(CMSG_HEADER + 4L * MAX_DESCRIPTORS);

    private final MemorySegment buffer;
    private final MemorySegment vector;
    private final MemorySegment header;
    private final MemorySegment control;

    /** With a buffer of that many bytes, in memory of {@code kernel}. */
    ControlMessage(Kernel kernel, long size) {
        buffer = kernel.allocate(Math.max(size, 1), 8);
        vector = kernel.allocate(IOVEC_SIZE, 8);
        vector.set(ValueLayout.ADDRESS, IOV_BASE, buffer);
        header = kernel.allocate(MSGHDR_SIZE, 8);
        header.set(ValueLayout.ADDRESS, MSG_IOV, vector);
        header.set(ValueLayout.JAVA_LONG, MSG_IOVLEN, 1);
        control = kernel.allocate(CONTROL_SIZE, 8);
    }

    MemorySegment buffer() {
        return buffer;
    }

    MemorySegment header() {
        return header;
    }

    /** How much of the buffer to send or fill. */
    void setLength(long length) {
        vector.set(ValueLayout.JAVA_LONG, IOV_LEN, length);
    }

    /** For sending: these descriptors go with the buffer's first byte. */
    void attach(List<Descriptor> descriptors) {
        if (descriptors.isEmpty()) {
            setControl(MemorySegment.NULL, 0);
            return;
        }
        long length = CMSG_HEADER + 4L * descriptors.size();
        control.set(ValueLayout.JAVA_LONG, CMSG_LEN, length);
        control.set(ValueLayout.JAVA_INT, CMSG_LEVEL, Constants.SOL_SOCKET);
        control.set(ValueLayout.JAVA_INT, CMSG_TYPE, Constants.SCM_RIGHTS);
        for (int i = 0; i < descriptors.size(); i++) {
            control.set(
                    ValueLayout.JAVA_INT,
                    CMSG_HEADER + 4L * i,
                    descriptors.get(i).fd());
        }
        setControl(control, align(length));
    }

    /** For receiving, before each call. */
    void expectDescriptors() {
        setControl(control, CONTROL_SIZE);
        header.set(ValueLayout.JAVA_INT, MSG_FLAGS, 0);
    }

    private void setControl(MemorySegment segment, long length) {
        header.set(ValueLayout.ADDRESS, MSG_CONTROL, segment);
        header.set(ValueLayout.JAVA_LONG, MSG_CONTROLLEN, length);
    }

    /** MSG_CTRUNC and the like, after receiving. */
    int flags() {
        return header.get(ValueLayout.JAVA_INT, MSG_FLAGS);
    }

    /** Takes over the descriptors that came. */
    void takeDescriptors(List<Descriptor> into, String label) {
        long end = header.get(ValueLayout.JAVA_LONG, MSG_CONTROLLEN);
        long at = 0;
        while (at + CMSG_HEADER <= end) {
            long length = control.get(ValueLayout.JAVA_LONG, at + CMSG_LEN);
            if (length < CMSG_HEADER || at + length > end) {
                break; // the kernel does not write such a thing; without this a loop would have no bound
            }
            if (control.get(ValueLayout.JAVA_INT, at + CMSG_LEVEL) == Constants.SOL_SOCKET
                    && control.get(ValueLayout.JAVA_INT, at + CMSG_TYPE) == Constants.SCM_RIGHTS) {
                for (long i = at + CMSG_HEADER; i + 4 <= at + length; i += 4) {
                    into.add(Descriptor.own(control.get(ValueLayout.JAVA_INT, i), label));
                }
            }
            at += align(length);
        }
    }

    private static long align(long length) {
        return (length + 7) & ~7L;
    }
}
