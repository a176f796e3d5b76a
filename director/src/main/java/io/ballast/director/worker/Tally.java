package io.ballast.director.worker;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Bytes that one event loop has carried for one server. Only that loop writes; any thread may read, and sees each number
 * whole and never going back.
 */
final class Tally {
    private static final VarHandle IN;
    private static final VarHandle OUT;

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            IN = lookup.findVarHandle(Tally.class, "in", long.class);
            OUT = lookup.findVarHandle(Tally.class, "out", long.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    @SuppressWarnings("unused") // through IN
    private long in;

    @SuppressWarnings("unused") // through OUT
    private long out;

    /** From a client to the server. */
    void in(int bytes) {
        IN.setOpaque(this, (long) IN.getOpaque(this) + bytes);
    }

    /** From the server to a client. */
    void out(int bytes) {
        OUT.setOpaque(this, (long) OUT.getOpaque(this) + bytes);
    }

    long in() {
        return (long) IN.getOpaque(this);
    }

    long out() {
        return (long) OUT.getOpaque(this);
    }
}
