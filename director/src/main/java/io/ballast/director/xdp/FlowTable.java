package io.ballast.director.xdp;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.function.Predicate;

/**
 * The connections that the data plane remembers, and the servers that clients belong to, read while it changes them:
 * what is seen was so a moment ago, or is half of one and half of the next. Buckets are copied out in runs, since reading
 * single words through the kernel's memory costs ten times as much.
 */
final class FlowTable {
    /** The tag of a place that is being filled. */
    private static final int BEING_WRITTEN = 1;

    private static final int RUN = 64;
    private static final int KILL_TRIES = 4;

    /** So many bytes of a flow say whose it is. */
    private static final int IDENTITY = Layout.FLOW_SERVER;

    private static final int BUCKET_WORDS = Layout.BUCKET / Integer.BYTES;
    private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    private final MemorySegment memory;
    private final MemorySegment ports;
    private final int[] words = new int[RUN * BUCKET_WORDS];

    /** A place with a connection in it, which is another's with the next step. */
    final class Place {
        private long at;
        private int tag;
        private int flow;

        /** Its number among all places, which says where its way back is. */
        int number() {
            return (int) (at / Layout.BUCKET) * Layout.WAYS + (int) (at % Layout.BUCKET) / Integer.BYTES;
        }

        int vip() {
            return words[flow + Layout.FLOW_VIP / Integer.BYTES];
        }

        /** Whether it is a client's server that is remembered here, and not a connection. */
        boolean isTemplate() {
            return (vip() & Layout.TEMPLATE_OF) != 0;
        }

        /** Number of a template's service. */
        int service() {
            return vip() & ~Layout.TEMPLATE_OF;
        }

        int server() {
            return words[flow + Layout.FLOW_SERVER / Integer.BYTES];
        }

        int expires() {
            return words[flow + Layout.FLOW_EXPIRES / Integer.BYTES];
        }

        boolean isEstablished() {
            return state() == Layout.ESTABLISHED;
        }

        /** Of {@link Layout}: OPENING, ESTABLISHED and so on. */
        byte state() {
            return (byte) Layout.stateOf(words[flow + Layout.FLOW_STATE / Integer.BYTES]);
        }

        /** The upper half of the client's address. */
        long clientHigh() {
            return MemorySegment.ofArray(words).get(LONG, 4L * flow);
        }

        long clientLow() {
            return MemorySegment.ofArray(words).get(LONG, 4L * flow + Long.BYTES);
        }

        int clientPort() {
            return Short.toUnsignedInt(MemorySegment.ofArray(words).get(SHORT, 4L * flow + Layout.FLOW_CLIENT_PORT));
        }

        int port() {
            return Short.toUnsignedInt(MemorySegment.ofArray(words).get(SHORT, 4L * flow + Layout.FLOW_PORT));
        }

        /** Full NAT: the director's port, by which the server knows the client. */
        int natPort() {
            short port = MemorySegment.ofArray(words).get(SHORT, 4L * flow + Layout.FLOW_NAT_PORT);
            return Short.toUnsignedInt(
                    ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN ? port : Short.reverseBytes(port));
        }

        RememberedFlow flow() {
            return RememberedFlow.of(MemorySegment.ofArray(words).asSlice(4L * flow, Layout.FLOW));
        }

        /**
         * Ends the connection as kill.h has it; what counts it out is the caller's.
         *
         * @param until when packets find it ended, in ticks
         * @return the state in which the connection was counted; 0 where it was ended already, or is over
         */
        int kill(int until) {
            long live = live();
            int word = (int) WORD.getVolatile(memory, live + Layout.FLOW_STATE);
            // A packet may change the state meanwhile, and then once more.
            for (int tries = 0;
                    tries < KILL_TRIES && Layout.isConnection(Layout.stateOf(word)) && isAt(live);
                    tries++) {
                int next = Layout.withState(word, Layout.KILLED);
                int found = (int) WORD.compareAndExchange(memory, live + Layout.FLOW_STATE, word, next);
                if (found == word) {
                    if (isAt(live)) {
                        WORD.setVolatile(memory, live + Layout.FLOW_EXPIRES, until);
                        return Layout.stateOf(word);
                    }
                    // It has become another's between the two looks.
                    var _ = WORD.compareAndSet(memory, live + Layout.FLOW_STATE, next, word);
                    return 0;
                }
                word = found;
            }
            return 0;
        }

        /**
         * Names the connection's server by another number.
         *
         * @return whether it was named by the one before until now
         */
        boolean rename(int before, int after) {
            return WORD.compareAndSet(memory, live() + Layout.FLOW_SERVER, before, after);
        }

        /** Where the connection is in the table. */
        private long live() {
            long start = at - at % Layout.BUCKET;
            return start + Layout.BUCKET_FLOWS + (at - start) / Integer.BYTES * Layout.FLOW;
        }

        /** Whether it still is the one that was copied out. */
        private boolean isAt(long live) {
            return (int) WORD.getVolatile(memory, at) == tag
                    && MemorySegment.mismatch(
                                    memory,
                                    live,
                                    live + IDENTITY,
                                    MemorySegment.ofArray(words),
                                    4L * flow,
                                    4L * flow + IDENTITY)
                            < 0;
        }

        /**
         * Makes the place free, as flows.h does it, and gives the connection's port back.
         *
         * @param over whether it is to be, asked again once no packet can change the place any more
         * @return the state in which the connection was counted; 0 where it stays, or has become another meanwhile
         */
        int forget(Predicate<Place> over) {
            if (!WORD.compareAndSet(memory, at, tag, BEING_WRITTEN)) {
                return 0;
            }
            long live = live();
            MemorySegment.copy(memory, ValueLayout.JAVA_INT, live, words, flow, Layout.FLOW / Integer.BYTES);
            if (!over.test(this)) {
                WORD.setVolatile(memory, at, tag);
                return 0;
            }
            // A packet that found the place before may change the word still, or count what it changes; not both.
            words[flow + Layout.FLOW_STATE / Integer.BYTES] = (int) WORD.getAndSet(memory, live + Layout.FLOW_STATE, 0);
            int claim = words[flow + Layout.FLOW_CLAIM / Integer.BYTES];
            if (claim > 0 && claim <= ports.byteSize() / Integer.BYTES) {
                var _ = WORD.compareAndSet(ports, (claim - 1L) * Integer.BYTES, number() + 1, 0);
                WORD.setVolatile(memory, live + Layout.FLOW_CLAIM, 0);
            }
            WORD.setVolatile(memory, at, 0);
            return state();
        }
    }

    private final Place place = new Place();

    /** The table, and that of full NAT's ports, which belong to its places. */
    FlowTable(MemorySegment memory, MemorySegment ports) {
        this.memory = memory;
        this.ports = ports;
    }

    /** The same table for another thread: what is copied out belongs to whoever reads. */
    FlowTable forAnotherThread() {
        return new FlowTable(memory, ports);
    }

    MemorySegment memory() {
        return memory;
    }

    int buckets() {
        return (int) (memory.byteSize() / Layout.BUCKET);
    }

    /**
     * Visits places that are taken, also by connections that have expired.
     *
     * @param from the first bucket
     * @param to the one behind the last
     * @param visitor returns whether it wants more
     */
    void visit(int from, int to, Predicate<Place> visitor) {
        for (int first = from; first < to; first += RUN) {
            int count = Math.min(RUN, to - first);
            long start = (long) first * Layout.BUCKET;
            MemorySegment.copy(memory, ValueLayout.JAVA_INT, start, words, 0, count * BUCKET_WORDS);
            for (int bucket = 0; bucket < count; bucket++) {
                for (int way = 0; way < Layout.WAYS; way++) {
                    int tag = words[bucket * BUCKET_WORDS + way];
                    if (tag == 0 || tag == BEING_WRITTEN) {
                        continue;
                    }
                    place.at = start + (long) bucket * Layout.BUCKET + 4L * way;
                    place.tag = tag;
                    place.flow = bucket * BUCKET_WORDS + (Layout.BUCKET_FLOWS + way * Layout.FLOW) / Integer.BYTES;
                    if (!visitor.test(place)) {
                        return;
                    }
                }
            }
        }
    }

    /** Visits all. */
    void visit(Predicate<Place> visitor) {
        visit(0, buckets(), visitor);
    }
}
