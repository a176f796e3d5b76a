package io.ballast.linux.bpf;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * How a program is to be run on a packet (BPF_PROG_TEST_RUN), without an interface or a wire.
 *
 * @param packet the frame from its Ethernet header on, at least 14 bytes, in native memory
 * @param out where the frame as the program left it goes; null when nobody asks
 * @param ingressIfindex the interface on which the frame seems to have come, one of the calling thread's network
 *     namespace; 0 for none
 * @param rxQueue of that interface
 * @param repeat how often, for measuring; the frame is <em>not</em> restored in between, so a program that changes it
 *     meets its own result
 * @param liveFrames copies of the frame really go where the program sends them, {@code repeat} in all (kernel 5.18 and
 *     newer); there is no output
 * @param batch live frames that are handed on together, up to 256; 0 for the kernel's own choice, 64
 */
public record TestRun(
        MemorySegment packet,
        @Nullable MemorySegment out,
        int ingressIfindex,
        int rxQueue,
        int repeat,
        boolean liveFrames,
        int batch) {
    /** Once, for the verdict alone. */
    public static TestRun of(MemorySegment packet) {
        return new TestRun(packet, null, 0, 0, 1, false, 0);
    }

    /** With the resulting frame. */
    public TestRun into(MemorySegment newOut) {
        return new TestRun(packet, newOut, ingressIfindex, rxQueue, repeat, liveFrames, batch);
    }

    /** As if from an interface. */
    public TestRun from(int newIfindex, int newQueue) {
        return new TestRun(packet, out, newIfindex, newQueue, repeat, liveFrames, batch);
    }

    /** So often. */
    public TestRun times(int newRepeat) {
        return new TestRun(packet, out, ingressIfindex, rxQueue, newRepeat, liveFrames, batch);
    }

    /** With live frames, so many together. */
    public TestRun live(int newBatch) {
        return new TestRun(packet, null, ingressIfindex, rxQueue, repeat, true, newBatch);
    }

    /**
     * What came of it.
     *
     * @param returned what the program returned, the last time
     * @param length bytes of the frame as the program left it
     * @param nanos mean duration of one run, as the kernel measured it
     */
    public record Result(int returned, int length, int nanos) {
        /** The verdict of an XDP program. */
        public XdpAction action() {
            return XdpAction.of(returned);
        }
    }
}
