package io.ballast.director.xdp;

import io.ballast.linux.bpf.BpfMap;
import io.ballast.linux.bpf.BpfObject;
import io.ballast.linux.bpf.BpfProgram;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** The program of clamp.bpf.c: lowers the MSS of SYN-ACKs that answer for services which come in tunnels. */
final class MssClamp implements AutoCloseable {
    private final BpfObject object;
    private Map<Source, Integer> fitting = Map.of();

    private MssClamp(BpfObject object) {
        this.object = object;
    }

    /**
     * Where a SYN-ACK is from.
     *
     * @param port 0 for every port of the address that has no entry of its own
     */
    record Source(InetAddress address, int port) {
        /** struct answering of clamp.bpf.c. */
        byte[] key() {
            return ByteBuffer.allocate(24)
                    .put(Unpacker.key(address))
                    .putShort((short) port)
                    .array();
        }
    }

    /** Loads it; it changes nothing until {@link #become}. Errors are those of {@link DataPlane#load}. */
    static MssClamp load() throws IOException {
        BpfObject object = BpfObject.open("clamp", DataPlane.object("clamp"));
        try {
            object.load();
        } catch (IOException | RuntimeException e) {
            object.close();
            throw e;
        }
        return new MssClamp(object);
    }

    /** The program, for the caller to close. */
    BpfProgram program() throws IOException {
        return object.program("clamp");
    }

    /** From now on these are the highest MSS, in bytes. */
    void become(Map<Source, Integer> next) throws IOException {
        try (BpfMap map = object.map("fitting")) {
            for (Map.Entry<Source, Integer> entry : next.entrySet()) {
                if (!entry.getValue().equals(fitting.get(entry.getKey()))) {
                    map.update(
                            entry.getKey().key(),
                            ByteBuffer.allocate(4)
                                    .order(ByteOrder.nativeOrder())
                                    .putInt(entry.getValue())
                                    .array());
                }
            }
            Set<Source> gone = new HashSet<>(fitting.keySet());
            gone.removeAll(next.keySet());
            for (Source source : gone) {
                map.delete(source.key());
            }
            fitting = Map.copyOf(next);
        }
    }

    /** SYN-ACKs whose MSS was lowered since it was loaded. */
    long lowered() throws IOException {
        try (BpfMap map = object.map("lowered")) {
            byte[] values = map.lookup(new byte[4]);
            long sum = 0;
            for (int at = 0; values != null && at < values.length; at += Long.BYTES) {
                sum += MemorySegment.ofArray(values).get(ValueLayout.JAVA_LONG_UNALIGNED, at);
            }
            return sum;
        }
    }

    @Override
    public void close() {
        object.close();
    }
}
