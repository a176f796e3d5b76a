package io.ballast.linux;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandleProxies;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.function.Consumer;

/**
 * Signals from outside as calls: SIGHUP to reload, SIGTERM to stop.
 *
 * <p>The way is the JVM's own (sun.misc.Signal of module jdk.unsupported), since the others fail inside a JVM: signalfd
 * and sigwait need the signal blocked in every thread, and HotSpot unblocks the shutdown signals in each thread that it
 * starts; a handler set by sigaction would enter Java in the middle of whatever the interrupted thread was doing. The
 * class is reached by method handles only because javac warns about its name in a way that cannot be silenced, and
 * warnings are errors here.
 */
public enum Signal {
    /** Reload the configuration. */
    HUP(1),
    /** Interrupt from the terminal. */
    INT(2),
    /** Finish what is under way and end, in many servers; HotSpot takes it for itself and prints its threads. */
    QUIT(3),
    /** Free for the application. */
    USR1(10),
    /** HotSpot's own, to suspend threads for its flight recorder: may be sent to other programs, but not watched. */
    USR2(12),
    /** Stop. */
    TERM(15),
    /** Kill; cannot be watched. */
    KILL(9),
    /** Go on after {@link #STOP}. */
    CONT(18),
    /** Freeze; cannot be watched. */
    STOP(19);

    private final int number;

    Signal(int number) {
        this.number = number;
    }

    /** The number, the same on x86_64 and aarch64. */
    public int number() {
        return number;
    }

    /**
     * Calls {@code action} on a thread of the JVM's whenever this signal arrives, in place of what the JVM or an earlier
     * action did. Two signals of one kind that arrive together may count as one. The action should only pass the news on.
     *
     * @throws IllegalArgumentException for a signal that this process cannot watch
     */
    public void watch(Consumer<Signal> action) {
        if (this == USR2) {
            // sun.misc.Signal would let us take it away from HotSpot.
            throw new IllegalArgumentException("SIGUSR2 belongs to the JVM; use SIGUSR1");
        }
        try {
            MethodHandles.Lookup lookup = MethodHandles.publicLookup();
            Class<?> signal = Class.forName("sun.misc.Signal");
            Class<?> handler = Class.forName("sun.misc.SignalHandler");
            MethodHandle accept = MethodHandles.lookup()
                    .findVirtual(Consumer.class, "accept", MethodType.methodType(void.class, Object.class))
                    .bindTo(action)
                    .bindTo(this);
            Object proxy =
                    MethodHandleProxies.asInterfaceInstance(handler, MethodHandles.dropArguments(accept, 0, signal));
            Object instance = lookup.findConstructor(signal, MethodType.methodType(void.class, String.class))
                    .invoke(name());
            lookup.findStatic(signal, "handle", MethodType.methodType(handler, signal, handler))
                    .invoke(instance, proxy);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("SIG" + name() + " cannot be watched: this JVM lacks jdk.unsupported", e);
        }
    }
}
