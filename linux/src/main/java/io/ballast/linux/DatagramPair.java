package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Two datagram sockets of this process that are connected (socketpair(2)): what is sent by one end comes to the other. An
 * eBPF program may look at what comes, in the thread that sends it, so that a datagram can cause something in the kernel.
 */
public final class DatagramPair implements AutoCloseable {
    private final Descriptor sender;
    private final Descriptor receiver;

    private DatagramPair(Descriptor sender, Descriptor receiver) {
        this.sender = sender;
        this.receiver = receiver;
    }

    /**
     * Makes a pair whose receiving end has a filter.
     *
     * @param label what it is, for messages
     * @param filter the descriptor of a program for sockets: how many bytes of a datagram it returns are kept, and one of
     *     which it keeps none is dropped without an error
     */
    public static DatagramPair filtered(String label, int filter) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment two = kernel.allocate(ValueLayout.JAVA_INT, 2);
            int type = Constants.SOCK_DGRAM | Constants.SOCK_CLOEXEC;
            LinuxException.check(kernel.socketpair(Constants.AF_UNIX, type, 0, two), "socketpair", label);
            DatagramPair pair = new DatagramPair(
                    Descriptor.own(two.getAtIndex(ValueLayout.JAVA_INT, 0), label),
                    Descriptor.own(two.getAtIndex(ValueLayout.JAVA_INT, 1), label + ", receiving end"));
            try {
                LinuxException.check(
                        kernel.setsockopt(pair.receiver.fd(), Constants.SOL_SOCKET, Constants.SO_ATTACH_BPF, filter),
                        "setsockopt SO_ATTACH_BPF",
                        label);
            } catch (IOException e) {
                pair.close();
                throw e;
            }
            return pair;
        }
    }

    /** The sending end, still owned here. It needs no address to send. */
    public Descriptor sender() {
        return sender;
    }

    /** Closes both ends. */
    @Override
    public void close() {
        sender.close();
        receiver.close();
    }
}
