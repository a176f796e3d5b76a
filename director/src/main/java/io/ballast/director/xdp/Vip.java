package io.ballast.director.xdp;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * An endpoint of a service, as layout.h has it.
 *
 * @param id of the endpoint, above 0
 * @param service its number
 * @param servers number of the service's first server
 * @param slots first line of its table
 * @param slotCount slots of the table
 * @param slotBits the binary logarithm of it, for sh and dh
 * @param flags of {@link Layout}
 * @param openTicks how long a connection is remembered that is being opened, in units of 2^27 ns
 * @param idleTicks the same for an established one and for a UDP flow
 * @param closingTicks the same for one that is being closed
 */
record Vip(
        int id,
        int service,
        int servers,
        int slots,
        int slotCount,
        int slotBits,
        Kind scheduler,
        int flags,
        int openTicks,
        int idleTicks,
        int closingTicks) {

    /** How the data plane finds a server for a new connection, with layout.h's number. */
    enum Kind {
        BY_SLOT_OF_HASH(0),
        BY_SLOT_OF_SOURCE(1),
        BY_SLOT_OF_DESTINATION(2),
        IN_TURN(3),
        LEAST_CONNECTION(4),
        WEIGHTED_LEAST_CONNECTION(5),
        SHORTEST_EXPECTED_DELAY(6),
        NEVER_QUEUE(7);

        final int number;

        Kind(int number) {
            this.number = number;
        }

        /** The kind of a number. */
        static Kind of(int number) {
            for (Kind kind : values()) {
                if (kind.number == number) {
                    return kind;
                }
            }
            throw new IllegalArgumentException("no kind of schedule has the number " + number);
        }

        /** Whether it compares loads, and so needs a tree. */
        boolean byLoad() {
            return number >= LEAST_CONNECTION.number;
        }
    }

    /** The same with other flags. */
    Vip withFlags(int others) {
        return new Vip(
                id,
                service,
                servers,
                slots,
                slotCount,
                slotBits,
                scheduler,
                others,
                openTicks,
                idleTicks,
                closingTicks);
    }

    /** The same with another table of the same kind. */
    Vip withTable(int line, int count) {
        return new Vip(
                id, service, servers, line, count, bits(count), scheduler, flags, openTicks, idleTicks, closingTicks);
    }

    /** The binary logarithm, rounded down; 0 of 0. */
    static int bits(int count) {
        return count == 0 ? 0 : Integer.numberOfTrailingZeros(Integer.highestOneBit(count));
    }

    /** An endpoint as it is in the data plane. */
    static Vip of(MemorySegment record) {
        return new Vip(
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_ID),
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SERVICE),
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SERVERS),
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SLOTS),
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SLOT_COUNT),
                record.get(ValueLayout.JAVA_BYTE, Layout.VIP_SLOT_BITS),
                Kind.of(record.get(ValueLayout.JAVA_BYTE, Layout.VIP_SCHEDULER)),
                record.get(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.VIP_FLAGS) & 0xffff,
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_OPEN_TICKS),
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_IDLE_TICKS),
                record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_CLOSING_TICKS));
    }

    byte[] bytes() {
        byte[] bytes = new byte[Layout.VIP];
        MemorySegment record = MemorySegment.ofArray(bytes);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_ID, id);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SERVICE, service);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SERVERS, servers);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SLOTS, slots);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_SLOT_COUNT, slotCount);
        record.set(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.VIP_FLAGS, (short) flags);
        record.set(ValueLayout.JAVA_BYTE, Layout.VIP_SCHEDULER, (byte) scheduler.number);
        record.set(ValueLayout.JAVA_BYTE, Layout.VIP_SLOT_BITS, (byte) slotBits);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_OPEN_TICKS, openTicks);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_IDLE_TICKS, idleTicks);
        record.set(ValueLayout.JAVA_INT_UNALIGNED, Layout.VIP_CLOSING_TICKS, closingTicks);
        return bytes;
    }
}
