package io.ballast.bench;

import io.ballast.bench.Wiring.Place;
import io.ballast.cli.Failure;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.AdvertisementCodec;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/**
 * 100,000 forged advertisements a second that come in at the backup of two directors: its processor time, and that neither of
 * them takes another role. Some come in the master's name, with a TTL that is too small, a wrong checksum, or no end; some
 * are of a router-id that nobody has; and some are whole, from somebody who is no director and has a low priority.
 */
final class AdvertisementFlood {
    private static final int A_SECOND = 100_000;
    private static final int WARM_SECONDS = 3;
    private static final int SECONDS = 5;

    /** Milliseconds from one lot to the next. */
    private static final int STEP = 200; // to begin a lot takes the kernel some milliseconds

    private static final InetAddress GROUP = InetAddress.ofLiteral("224.0.0.18");
    private static final InetAddress STRANGER = InetAddress.ofLiteral("192.0.2.77");
    private static final int FAR = 64;
    private static final int NEAR = 255;

    private AdvertisementFlood() {}

    static void measure(Sheet sheet, InetAddress shared, Directors.Priorities priorities, Duration interval)
            throws IOException, Failure, InterruptedException {
        try (Programs programs = new Programs();
                Wiring wiring = Wiring.open(programs);
                BpfProgram passing = BpfProgram.passing()) {
            var directors = new Directors.Ballast(
                    programs, wiring, new Directors.Plan(List.of(List.of(shared)), priorities, interval));
            directors.start(Place.A);
            directors.start(Place.B);
            TakeoverArea.awaitBackup(directors);
            InetAddress master = Place.A.address();
            List<byte[]> frames = List.of(
                    frame(message(master, shared, 1), master, FAR),
                    frame(changed(message(master, shared, 1), 6), master, NEAR),
                    frame(shortened(message(master, shared, 1)), master, NEAR),
                    frame(message(master, shared, 77), master, NEAR),
                    frame(message(STRANGER, shared, 1), STRANGER, NEAR));
            int link = wiring.link(Place.B).index();
            flood(wiring, passing, frames, link, WARM_SECONDS);
            long pid = directors.daemon(Place.B).pid();
            double before = Programs.cpuSeconds(pid);
            long sent = flood(wiring, passing, frames, link, SECONDS);
            double share = (Programs.cpuSeconds(pid) - before) / SECONDS * 100;
            if (!directors.stands(Place.B)
                    || directors.daemon(Place.A).roles().stream().noneMatch(role -> role.master())) {
                throw Failure.failed("roles changed in the flood: a " + directors.stand(Place.A) + "; b "
                        + directors.stand(Place.B));
            }
            sheet.add(Row.own(
                    Sample.number(sent / (double) SECONDS) + " forged advertisements a second, backup",
                    "% of a core",
                    Sample.of(share),
                    Row.Target.atMost(10, "bounded CPU in a flood, and no other role")));
        }
    }

    /** How many there were. */
    private static long flood(Wiring wiring, BpfProgram program, List<byte[]> frames, int link, int seconds)
            throws IOException, InterruptedException {
        int lot = A_SECOND * STEP / 1000 / frames.size();
        long sent = 0;
        long begun = System.nanoTime();
        for (long step = 0; step < seconds * 1000L / STEP; step++) {
            for (byte[] frame : frames) {
                var _ = wiring.in(Place.B, () -> {
                    program.inject(frame, link, lot);
                    return true;
                });
                sent += lot;
            }
            long left = begun + (step + 1) * STEP * 1_000_000L - System.nanoTime();
            if (left > 0) {
                Thread.sleep(Duration.ofNanos(left));
            }
        }
        return sent;
    }

    private static byte[] message(InetAddress source, InetAddress shared, int routerId) {
        var advertisement = new Advertisement(3, routerId, 90, 100_000_000, List.of(shared));
        return AdvertisementCodec.encode(advertisement, Authentication.NONE, Checksum.PSEUDO_HEADER, source, GROUP);
    }

    private static byte[] changed(byte[] message, int at) {
        message[at] ^= 1;
        return message;
    }

    private static byte[] shortened(byte[] message) {
        return Arrays.copyOf(message, message.length - 4);
    }

    private static byte[] frame(byte[] message, InetAddress source, int ttl) {
        ByteBuffer out = ByteBuffer.allocate(34 + message.length);
        out.put(new byte[] {1, 0, 0x5e, 0, 0, 0x12, 2, 0, 0, 0, 0, 7}).putShort((short) 0x0800);
        out.putShort((short) 0x45c0).putShort((short) (20 + message.length)).putInt(0);
        out.put((byte) ttl).put((byte) AdvertisementCodec.PROTOCOL).putShort((short) 0);
        out.put(source.getAddress()).put(GROUP.getAddress()).put(message);
        int sum = 0;
        for (int i = 14; i < 34; i += 2) {
            sum += out.getShort(i) & 0xffff;
        }
        out.putShort(24, (short) ~((sum & 0xffff) + (sum >> 16)));
        return out.array();
    }
}
