package io.ballast.director.xdp;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a daemon that starts has to know of the tables that it finds, and no packet needs: the names behind the numbers.
 * It lies in tables of its own beside the others, and so lives exactly as long as they do.
 *
 * <p>A process may end between any two of its steps. So a note is written before the tables hold what it tells of, and
 * erased after they do not any more; and the word that makes a note count is written last.
 */
class Notes {
    /**
     * A service.
     *
     * @param kind of its schedule
     * @param firstServer number of its first server
     * @param capacity how many numbers of servers it has
     * @param slots first line of its table, which is written to its end
     * @param slotCount slots of the table, 0 for none
     * @param tree first line of its order by load
     * @param changed when its table changed last, by the clock that no reboot survives
     */
    record OfService(
            int number,
            String name,
            Vip.Kind kind,
            int firstServer,
            int capacity,
            int slots,
            int slotCount,
            int tree,
            long changed) {}

    /**
     * A real server.
     *
     * @param number over all services
     * @param service number of its service
     * @param lastWeight the last that was not 0
     * @param gone it is not in the description any more
     * @param cut its time to drain is over
     * @param cutAt when that is, by the same clock
     */
    record OfServer(
            int number,
            int service,
            String name,
            InetSocketAddress address,
            int lastWeight,
            boolean gone,
            boolean cut,
            long cutAt) {}

    private final MemorySegment services;
    private final MemorySegment servers;

    /** The same notes once more. */
    Notes(Notes other) {
        this(other.services, other.servers);
    }

    Notes(MemorySegment services, MemorySegment servers) {
        this.services = services;
        this.servers = servers;
    }

    void write(OfService note) {
        MemorySegment record = service(note.number);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SCHEDULER, note.kind.number);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SERVERS, note.firstServer);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_CAPACITY, note.capacity);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_TREE, note.tree);
        record.set(ValueLayout.JAVA_LONG_UNALIGNED, Layout.SERVICE_NOTE_CHANGED, note.changed);
        // No table while the two numbers do not belong together.
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SLOT_COUNT, 0);
        VarHandle.releaseFence();
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SLOTS, note.slots);
        VarHandle.releaseFence();
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SLOT_COUNT, note.slotCount);
        writeName(record, Layout.SERVICE_NOTE_NAME, note.name);
        VarHandle.releaseFence();
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_USED, 1);
    }

    void eraseService(int number) {
        service(number).set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_USED, 0);
    }

    void write(OfServer note) {
        MemorySegment record = server(note.number);
        byte[] address = note.address.getAddress().getAddress();
        int flags = (note.gone ? Layout.SERVER_GONE : 0)
                | (note.cut ? Layout.SERVER_CUT : 0)
                | (address.length == 4 ? 0 : Layout.SERVER_IPV6);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVER_NOTE_LAST_WEIGHT, note.lastWeight);
        record.set(ValueLayout.JAVA_LONG_UNALIGNED, Layout.SERVER_NOTE_CUT_AT, note.cutAt);
        MemorySegment.copy(address, 0, record, ValueLayout.JAVA_BYTE, Layout.SERVER_NOTE_ADDRESS, address.length);
        record.set(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.SERVER_NOTE_PORT, (short) note.address.getPort());
        record.set(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.SERVER_NOTE_FLAGS, (short) flags);
        writeName(record, Layout.SERVER_NOTE_NAME, note.name);
        VarHandle.releaseFence();
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVER_NOTE_SERVICE, note.service + 1);
    }

    void eraseServer(int number) {
        server(number).set(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVER_NOTE_SERVICE, 0);
    }

    List<OfService> services() {
        List<OfService> notes = new ArrayList<>();
        for (int number = 0; number < services.byteSize() / Layout.SERVICE_NOTE; number++) {
            MemorySegment record = service(number);
            if (record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_USED) != 0) {
                notes.add(new OfService(
                        number,
                        readName(record, Layout.SERVICE_NOTE_NAME),
                        Vip.Kind.of(record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SCHEDULER)),
                        record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SERVERS),
                        record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_CAPACITY),
                        record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SLOTS),
                        record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_SLOT_COUNT),
                        record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVICE_NOTE_TREE),
                        record.get(ValueLayout.JAVA_LONG_UNALIGNED, Layout.SERVICE_NOTE_CHANGED)));
            }
        }
        return notes;
    }

    /** The servers that have one of the numbers, in their order. */
    List<OfServer> servers(OfService of) {
        List<OfServer> notes = new ArrayList<>();
        for (int number = of.firstServer; number < of.firstServer + of.capacity; number++) {
            MemorySegment record = server(number);
            int service = record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVER_NOTE_SERVICE) - 1;
            if (service == of.number) {
                int flags = record.get(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.SERVER_NOTE_FLAGS);
                notes.add(new OfServer(
                        number,
                        service,
                        readName(record, Layout.SERVER_NOTE_NAME),
                        address(record, (flags & Layout.SERVER_IPV6) != 0),
                        record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.SERVER_NOTE_LAST_WEIGHT),
                        (flags & Layout.SERVER_GONE) != 0,
                        (flags & Layout.SERVER_CUT) != 0,
                        record.get(ValueLayout.JAVA_LONG_UNALIGNED, Layout.SERVER_NOTE_CUT_AT)));
            }
        }
        return notes;
    }

    private static InetSocketAddress address(MemorySegment record, boolean ipv6) {
        byte[] bytes = record.asSlice(Layout.SERVER_NOTE_ADDRESS, ipv6 ? 16 : 4).toArray(ValueLayout.JAVA_BYTE);
        int port = record.get(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.SERVER_NOTE_PORT) & 0xffff;
        return new InetSocketAddress(addressOf(bytes), port);
    }

    /** An address of 4 or 16 bytes. */
    static InetAddress addressOf(byte[] bytes) {
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(bytes.length + " bytes are no address", e);
        }
    }

    private MemorySegment service(int number) {
        return services.asSlice((long) number * Layout.SERVICE_NOTE, Layout.SERVICE_NOTE);
    }

    private MemorySegment server(int number) {
        return servers.asSlice((long) number * Layout.SERVER_NOTE, Layout.SERVER_NOTE);
    }

    private static void writeName(MemorySegment record, int at, String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        if (bytes.length >= Layout.NAME) {
            throw new IllegalArgumentException("name \"" + name + "\": longer than " + (Layout.NAME - 1) + " bytes");
        }
        MemorySegment.copy(Arrays.copyOf(bytes, Layout.NAME), 0, record, ValueLayout.JAVA_BYTE, at, Layout.NAME);
    }

    private static String readName(MemorySegment record, int at) {
        return record.asSlice(at, Layout.NAME).getString(0);
    }
}
