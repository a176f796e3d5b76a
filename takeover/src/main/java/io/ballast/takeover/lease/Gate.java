package io.ballast.takeover.lease;

import io.ballast.linux.DatagramPair;
import io.ballast.linux.Descriptor;
import io.ballast.linux.bpf.BpfMap;
import io.ballast.linux.bpf.BpfObject;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.TrafficControl.Direction;
import io.ballast.takeover.lease.LeaseGate.Dropped;
import io.ballast.takeover.lease.LeaseGate.Guarded;
import io.ballast.takeover.lease.LeaseGate.Sender;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** The programs of gate.bpf.c and their tables, on no interface. */
final class Gate implements AutoCloseable {
    /** What becomes of an address ({@code enum holding}). */
    enum Holding {
        RELEASED(0),
        HELD(1),
        /** Its packets pass, but nobody is told any more that it is here. */
        HANDED_OVER(2);

        private final int number;

        Holding(int number) {
            this.number = number;
        }
    }

    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();

    // struct state
    private static final long STATE = 32;
    private static final long HELD = 0;
    private static final long REFUSES = 4;
    private static final long UNTIL = 8;
    private static final long DROPPED_ARRIVING = 16;
    private static final long DROPPED_LEAVING = 24;

    private final BpfObject object;
    private final BpfMap addresses;
    private final DatagramPair ticks;
    private final MemorySegment states;
    private final MemorySegment until;
    private final MemorySegment misdirected;
    private final BpfMap senders;
    private final Map<Guarded, Integer> numbers = new ConcurrentHashMap<>();
    private final ArrayDeque<Integer> free = new ArrayDeque<>();

    private Gate(BpfObject object, BpfMap addresses, BpfMap senders, DatagramPair ticks) throws IOException {
        this.object = object;
        this.addresses = addresses;
        this.senders = senders;
        this.ticks = ticks;
        Arena arena = Arena.ofAuto(); // whoever still writes while this is closed harms nobody
        states = object.mmap("states", arena);
        until = object.mmap("alive_until", arena);
        misdirected = object.mmap("misdirected", arena);
        for (int number = 0; number < addresses.info().shape().maxEntries(); number++) {
            free.add(number);
        }
    }

    /**
     * Loads them; they know no address, and the lease is over.
     *
     * @throws FileNotFoundException this build has no such object, since clang was absent
     * @throws IOException the kernel refuses it; the message says why
     */
    static Gate load(Duration lease) throws IOException {
        BpfObject object = BpfObject.open("gate", object());
        try {
            object.set("lease_ns", lease.toNanos());
            object.load();
            BpfMap addresses = object.map("addresses");
            try (BpfProgram tick = object.program("tick")) {
                DatagramPair ticks = DatagramPair.filtered("ticks", tick.fd());
                try {
                    return new Gate(object, addresses, object.map("senders"), ticks);
                } catch (IOException | RuntimeException e) {
                    ticks.close();
                    throw e;
                }
            } catch (IOException | RuntimeException e) {
                addresses.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            object.close();
            throw e;
        }
    }

    /** The object as it was compiled. */
    static byte[] object() throws IOException {
        try (InputStream in = Gate.class.getResourceAsStream("gate.bpf.o")) {
            if (in == null) {
                throw new FileNotFoundException(
                        "this build has no lease of addresses, because clang or the headers of libbpf were"
                                + " absent when it was made: install the packages clang and libbpf-dev and build again");
            }
            return in.readAllBytes();
        }
    }

    /** A program, for the caller to close. */
    BpfProgram program(Direction direction) throws IOException {
        return object.program(
                switch (direction) {
                    case INGRESS -> "arrives";
                    case EGRESS -> "leaves";
                });
    }

    /** As {@link LeaseGate#ticks}. */
    Descriptor ticks() {
        return ticks.sender();
    }

    /** As {@link LeaseGate#aliveUntil}. */
    long aliveUntil() {
        return (long) LONG.getVolatile(until, 0L);
    }

    /** By {@link System#nanoTime}, which is the kernel's clock here; 0 for what is over. */
    void aliveUntil(long time) {
        LONG.setVolatile(until, 0L, time);
    }

    /** Guards addresses, which are not held at first; those that are guarded already stay as they are. */
    synchronized void protect(Collection<Guarded> more) throws IOException {
        for (Guarded address : more) {
            if (numbers.containsKey(address)) {
                continue;
            }
            Integer number = free.poll();
            if (number == null) {
                throw new IOException(
                        "the gate has room for " + numbers.size() + " addresses, and " + address + " is one more");
            }
            states.asSlice(number * STATE, STATE).fill((byte) 0);
            LONG.setVolatile(states, number * STATE + UNTIL, Long.MAX_VALUE);
            try {
                addresses.update(key(address), value(number));
            } catch (IOException | RuntimeException e) {
                free.push(number);
                throw e;
            }
            numbers.put(address, number);
        }
    }

    /** What is not guarded passes again; those that are not guarded are no matter. */
    synchronized void forget(Collection<Guarded> fewer) throws IOException {
        for (Guarded address : fewer) {
            Integer number = numbers.get(address);
            if (number != null) {
                addresses.delete(key(address));
                numbers.remove(address);
                free.add(number);
            }
        }
    }

    /** Until when they are held at most, by {@link System#nanoTime}. */
    void until(Collection<Guarded> some, long time) {
        for (Guarded address : some) {
            Integer number = numbers.get(address);
            if (number != null) {
                LONG.setVolatile(states, number * STATE + UNTIL, Math.max(0, time)); // unsigned there
            }
        }
    }

    /** What becomes of them from now on. One that is not guarded passes anyway. */
    void hold(Collection<Guarded> some, Holding holding) {
        for (Guarded address : some) {
            Integer number = numbers.get(address);
            if (number != null) {
                INT.setVolatile(states, number * STATE + HELD, holding.number);
            }
        }
    }

    /** As {@link LeaseGate#accept}. */
    void accept(Collection<Guarded> some, boolean accepts) {
        for (Guarded address : some) {
            Integer number = numbers.get(address);
            if (number != null) {
                INT.setVolatile(states, number * STATE + REFUSES, accepts ? 0 : 1);
            }
        }
    }

    /** As {@link LeaseGate#misdirected}. */
    long misdirected() {
        return (long) LONG.getVolatile(misdirected, 0L);
    }

    /** As {@link LeaseGate#senders}. */
    Map<Sender, Long> senders() throws IOException {
        Map<Integer, InetAddress> known = new HashMap<>();
        numbers.forEach((address, number) -> known.put(number, address.address()));
        Map<Sender, Long> found = new HashMap<>();
        senders.forEach((key, value) -> {
            InetAddress to = known.get(key.get(ValueLayout.JAVA_INT, 0));
            if (to != null) {
                byte[] mac = key.asSlice(8, MacAddress.LENGTH).toArray(ValueLayout.JAVA_BYTE);
                found.put(
                        new Sender(to, key.get(ValueLayout.JAVA_INT, 4), MacAddress.of(mac)),
                        value.get(ValueLayout.JAVA_LONG, 0));
            }
        });
        return found;
    }

    /** As {@link LeaseGate#forgetSenders}. */
    void forgetSenders(Collection<Sender> some) throws IOException {
        for (Sender sender : some) {
            Integer number = numbers.get(new Guarded(sender.address(), sender.link()));
            if (number != null) {
                senders.delete(ByteBuffer.allocate(16)
                        .order(ByteOrder.nativeOrder())
                        .putInt(number)
                        .putInt(sender.link())
                        .put(sender.mac().bytes())
                        .array());
            }
        }
    }

    /** The frames of each that have not passed. */
    Map<Guarded, Dropped> dropped() {
        Map<Guarded, Dropped> dropped = new TreeMap<>();
        numbers.forEach((address, number) -> dropped.put(
                address, new Dropped((long) LONG.getVolatile(states, number * STATE + DROPPED_ARRIVING), (long)
                        LONG.getVolatile(states, number * STATE + DROPPED_LEAVING))));
        return dropped;
    }

    /** struct guarded. */
    private static byte[] key(Guarded guarded) {
        byte[] address = guarded.address().getAddress();
        ByteBuffer key = ByteBuffer.allocate(20);
        if (address.length == 4) {
            key.putShort(10, (short) 0xffff);
        }
        key.put(16 - address.length, address);
        return key.order(ByteOrder.nativeOrder()).putInt(16, guarded.link()).array();
    }

    private static byte[] value(int number) {
        return ByteBuffer.allocate(Integer.BYTES)
                .order(ByteOrder.nativeOrder())
                .putInt(number)
                .array();
    }

    /** Lets go; where a program is on an interface, it stays, and nothing extends the lease any more. */
    @Override
    public void close() {
        ticks.close();
        senders.close();
        addresses.close();
        object.close();
    }
}
