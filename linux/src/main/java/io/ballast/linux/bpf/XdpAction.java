package io.ballast.linux.bpf;

/** What an XDP program decides about a packet ({@code enum xdp_action} of linux/bpf.h). */
public enum XdpAction {
    /** The program failed: dropped, and seen at the tracepoint xdp_exception. */
    ABORTED(0),
    /** Dropped. */
    DROP(1),
    /** Goes on to the kernel's own stack. */
    PASS(2),
    /** Leaves by the interface on which it came. */
    TX(3),
    /** Goes to another interface, processor or socket. */
    REDIRECT(4);

    private final int number;

    XdpAction(int number) {
        this.number = number;
    }

    /** The kernel's number. */
    public int number() {
        return number;
    }

    /** What a program's result means: the kernel takes what it does not know for {@link #ABORTED}. */
    public static XdpAction of(int number) {
        for (XdpAction action : values()) {
            if (action.number == number) {
                return action;
            }
        }
        return ABORTED;
    }
}
