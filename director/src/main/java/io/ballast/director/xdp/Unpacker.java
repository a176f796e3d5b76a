package io.ballast.director.xdp;

import io.ballast.linux.bpf.BpfMap;
import io.ballast.linux.bpf.BpfObject;
import io.ballast.linux.bpf.BpfProgram;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.Set;

/**
 * The program of decap.bpf.c: takes packets of services out of the tunnels in which a director sends them to this
 * machine.
 */
final class Unpacker implements AutoCloseable {
    private static final byte[] PRESENT = {1, 0, 0, 0};

    private final BpfObject object;
    private Set<InetAddress> services = Set.of();
    private Set<InetAddress> ends = Set.of();

    private Unpacker(BpfObject object) {
        this.object = object;
    }

    /** Loads it; it lets everything pass until {@link #become}. Errors are those of {@link DataPlane#load}. */
    static Unpacker load() throws IOException {
        BpfObject object = BpfObject.open("decap", DataPlane.object("decap"));
        try {
            object.load();
        } catch (IOException | RuntimeException e) {
            object.close();
            throw e;
        }
        return new Unpacker(object);
    }

    /** The program, for the caller to close. */
    BpfProgram program() throws IOException {
        return object.program("decap");
    }

    /**
     * From now on for these.
     *
     * @param nextServices addresses of services, to which the inner packets go
     * @param nextEnds addresses of this machine, to which the outer ones go
     */
    void become(Set<InetAddress> nextServices, Set<InetAddress> nextEnds) throws IOException {
        write("services", services, nextServices);
        services = Set.copyOf(nextServices);
        write("tunnel_ends", ends, nextEnds);
        ends = Set.copyOf(nextEnds);
    }

    private void write(String name, Set<InetAddress> before, Set<InetAddress> after) throws IOException {
        try (BpfMap map = object.map(name)) {
            for (InetAddress address : after) {
                map.update(key(address), PRESENT);
            }
            Set<InetAddress> gone = new HashSet<>(before);
            gone.removeAll(after);
            for (InetAddress address : gone) {
                map.delete(key(address));
            }
        }
    }

    /** struct address of layout.h. */
    static byte[] key(InetAddress address) {
        ByteBuffer bytes = ByteBuffer.allocate(16);
        if (address instanceof Inet4Address) {
            bytes.putLong(0).putInt(0xffff).put(address.getAddress());
        } else {
            bytes.put(address.getAddress());
        }
        return ByteBuffer.allocate(16)
                .order(ByteOrder.nativeOrder())
                .putLong(bytes.getLong(0))
                .putLong(bytes.getLong(8))
                .array();
    }

    /** Packets taken out since it was loaded. */
    long unpacked() throws IOException {
        try (BpfMap map = object.map("unpacked")) {
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
