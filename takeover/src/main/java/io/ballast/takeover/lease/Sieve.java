package io.ballast.takeover.lease;

import io.ballast.linux.bpf.BpfMap;
import io.ballast.linux.bpf.BpfObject;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.takeover.vrrp.AdvertisementCodec;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.Discard;
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
import java.util.Collection;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The program of sieve.bpf.c, by which a socket hears only so much of what is not worth hearing: a flood must not push a
 * master's advertisements out of the socket's queue, nor keep this node busy.
 *
 * <p>What is for router-ids that are not this node's is never heard. What looks wrong (its TTL, length, checksum, password, a
 * missing signature, a sender that is no peer) is heard fifty times a second of each virtual router, so that it is judged and told
 * of as ever; the rest is counted here. What looks right is heard 500 times a second of each sender that was understood
 * before, and 1000 times a second of all the others together.
 *
 * <p>Not thread-safe.
 */
public final class Sieve implements AutoCloseable {
    /** As {@code enum reason}. */
    private static final List<Discard> REASONS = List.of(
            Discard.CROWDED,
            Discard.TTL,
            Discard.LENGTH,
            Discard.CHECKSUM,
            Discard.AUTHENTICATION,
            Discard.UNSIGNED,
            Discard.NO_PEER);

    // enum flag
    private static final int OURS = 1;
    private static final int ON_LINK = 2;
    private static final int PEERS = 4;
    private static final int PASSWORD = 8;
    private static final int SIGNED = 16;

    // struct router
    private static final long FLAGS = 0;
    private static final long PASSWORD_AT = 4;
    private static final long DROPPED = 24;
    private static final long ROUTER = DROPPED + 8L * REASONS.size();
    private static final int ROUTERS = 256;

    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();

    private final BpfObject object;
    private final BpfMap senders;
    private final BpfProgram program;
    private final MemorySegment routers;
    private final Set<Sender> known = new HashSet<>();
    /** Those of them that the description names. */
    private Set<Sender> peers = Set.of();

    /**
     * A virtual router of this node.
     *
     * @param peers all who may send to it; empty for everybody on the link
     */
    public record Router(int routerId, List<InetAddress> peers, Authentication authentication) {}

    private record Sender(int routerId, InetAddress address) {}

    private Sieve(BpfObject object, BpfMap senders, BpfProgram program) throws IOException {
        this.object = object;
        this.senders = senders;
        this.program = program;
        this.routers = object.mmap("routers", Arena.ofAuto());
    }

    /**
     * Loads it; so far it lets nothing through.
     *
     * @throws FileNotFoundException this build has no such object, since clang was absent
     * @throws IOException the kernel refuses it; the message says why
     */
    public static Sieve load(boolean ipv6) throws IOException {
        BpfObject object = BpfObject.open("sieve", object());
        try {
            object.set("ipv6", ipv6 ? 1 : 0);
            object.load();
            BpfMap senders = object.map("senders");
            try {
                return new Sieve(object, senders, object.program("hears"));
            } catch (IOException | RuntimeException e) {
                senders.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            object.close();
            throw e;
        }
    }

    private static byte[] object() throws IOException {
        try (InputStream in = LeaseGate.class.getResourceAsStream("sieve.bpf.o")) {
            if (in == null) {
                throw new FileNotFoundException("this build has no sieve, because clang or the headers of libbpf were"
                        + " absent when it was made");
            }
            return in.readAllBytes();
        }
    }

    /** What a socket's filter is made of. */
    public int fd() {
        return program.fd();
    }

    /** Lets what is for these virtual routers through from now on, and for no others. */
    public void admit(Collection<Router> described) throws IOException {
        int[] flags = new int[ROUTERS];
        Set<Sender> wanted = new HashSet<>();
        for (Router router : described) {
            Authentication by = router.authentication();
            int id = router.routerId();
            flags[id] = OURS
                    | (router.peers().isEmpty() ? ON_LINK : PEERS)
                    | (by.password().isEmpty() ? 0 : PASSWORD)
                    | (by.refusesUnsigned() ? SIGNED : 0);
            byte[] password = AdvertisementCodec.padded(by.password());
            MemorySegment.copy(password, 0, routers, ValueLayout.JAVA_BYTE, id * ROUTER + PASSWORD_AT, password.length);
            router.peers().forEach(peer -> wanted.add(new Sender(id, peer)));
        }
        for (Sender peer : wanted) {
            know(peer.routerId(), peer.address());
        }
        for (Sender peer : peers) {
            if (!wanted.contains(peer) && known.remove(peer)) {
                senders.delete(key(peer));
            }
        }
        peers = wanted;
        for (int id = 0; id < ROUTERS; id++) {
            INT.setVolatile(routers, id * ROUTER + FLAGS, flags[id]);
        }
    }

    /** One who has been understood: others cannot push its advertisements aside, unless in its name. */
    public void know(int routerId, InetAddress sender) throws IOException {
        Sender one = new Sender(routerId, sender);
        if (!known.contains(one)) {
            senders.update(key(one), new byte[Long.BYTES]);
            known.add(one);
        }
    }

    /** What did not come through and was for a virtual router, by what is wrong with it, since this was loaded. */
    public Map<Discard, Long> dropped(int routerId) {
        Map<Discard, Long> dropped = new EnumMap<>(Discard.class);
        for (int i = 0; i < REASONS.size(); i++) {
            long count = (long) LONG.getVolatile(routers, routerId * ROUTER + DROPPED + 8L * i);
            if (count > 0) {
                dropped.put(REASONS.get(i), count);
            }
        }
        return dropped;
    }

    /** struct sender. */
    private static byte[] key(Sender sender) {
        byte[] address = sender.address().getAddress();
        ByteBuffer key = ByteBuffer.allocate(20);
        if (address.length == 4) {
            key.putShort(10, (short) 0xffff);
        }
        key.put(16 - address.length, address);
        return key.order(ByteOrder.nativeOrder()).putInt(16, sender.routerId()).array();
    }

    /** Lets go; a socket that has it keeps it. */
    @Override
    public void close() {
        program.close();
        senders.close();
        object.close();
    }
}
