package io.ballast.bench;

import io.ballast.cli.Failure;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.quic.QuicIds;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.scheduler.HashOptions;
import io.ballast.director.scheduler.ScheduleTable;
import io.ballast.director.xdp.LiveBenchmark;
import io.ballast.director.xdp.LiveBenchmark.Middle;
import io.ballast.director.xdp.XdpBenchmark;
import io.ballast.director.xdp.XdpBenchmark.Floor;
import io.ballast.director.xdp.XdpBenchmark.Room;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the fast path costs for each packet, by the kernel's own test run: no interface, no wire, and the time of the
 * program alone. Beside each reading stands one of a floor that puts a header with constant fields in front of the same
 * frame, and targets that were named beside a floor of 27 ns are held against the ratio, since processors differ by more
 * than programs do.
 *
 * <p>Then what a change of the servers costs the daemon in the largest installation.
 */
final class XdpArea implements Area {
    private static final String WEB = "web";
    private static final String SOURCE = " ns where the floor is 27";
    private static final double FLOOR = 27;

    /** Test runs of one reading: the kernel gives whole nanoseconds, and their mean is finer. */
    private static final int RUNS = 4;

    private static final int PACKETS_A_SECOND = 100_000;
    private static final int NEW_AT_MOST = 100_000;
    private static final int WARM_UP = 20_000;
    private static final int SETTLING = 1_000;
    private static final int CONNECTIONS = 1 << 21;

    /** Enough that the beginning and the end of a test run, some 20 ms that every middle has to bear, do not count. */
    private static final int LIVE_FRAMES_A_SECOND = 400_000;

    private static final int LIVE_READINGS = 4;

    private static final int SERVICES = 10_000;
    private static final int SERVERS = 10_000;
    private static final int SERVERS_OF_EACH = 10;
    private static final int REMEMBERED = 1_000_000;

    private static final ServiceSpec.Timeouts TIMEOUTS = new ServiceSpec.Timeouts(
            Duration.ofSeconds(1),
            Duration.ofMinutes(15),
            Duration.ofMinutes(1),
            Duration.ofMinutes(5),
            Duration.ofSeconds(1),
            Duration.ofMinutes(5));

    @Override
    public String name() {
        return "director";
    }

    @Override
    public String engine() {
        return "xdp";
    }

    @Override
    public String summary() {
        return "nanoseconds a packet through the engine xdp, by the kernel's test run, and what a change of the servers"
                + " takes";
    }

    @Override
    public void run(Effort effort, Sheet sheet) throws IOException, Failure, InterruptedException {
        sheet.measure("packets", "ns/packet", () -> {
            try (XdpBenchmark plane = XdpBenchmark.open(new Room(4, 8192, 4, CONNECTIONS))) {
                Packets packets = new Packets(plane, effort, sheet);
                packets.known();
                packets.opening();
                packets.ipv6();
                packets.methods();
                packets.persistence();
                packets.quic();
                packets.cookies();
            }
        });
        sheet.note(
                "Floor: a header of IPv4 with constant fields in front of the same frame, in the same loop. Servers are"
                        + " reached by tunnel (IP in IP) where nothing else is said. Every packet was sent; the kernel's clock.");
        sheet.measure("live frames", "Mpps", () -> live(effort, sheet));
        sheet.note(
                "Live frames of 60 bytes over two virtual wires in a namespace of their own: generator, director and end"
                        + " share one processor. Peer: a program that only redirects. Every reading begins with "
                        + Sample.number(SETTLING) + " packets that are not counted where connections are known, with "
                        + Sample.number(WARM_UP) + " where they are new.");
        sheet.measure("tables", "ms", () -> new Tables(effort, sheet).measure());
        sheet.note("Java " + Runtime.version() + "; Linux " + System.getProperty("os.version"));
    }

    /** Real frames, and a program that only redirects in the director's place. */
    private static void live(Effort effort, Sheet sheet) throws IOException {
        Row.Target direct = Row.Target.ratioAtLeast(0.8, "0.8 of a bare redirect in the same run");
        Row.Target nat = Row.Target.ratioAtLeast(3.5 / 5.3, "3.5 Mpps where a bare redirect has 5.3");
        try (LiveBenchmark wires = LiveBenchmark.open(new Room(2, 2048, 4, 1 << 16))) {
            live(effort, sheet, wires, SchedulerKind.MH, ForwardingMethod.DR, direct);
            live(effort, sheet, wires, SchedulerKind.WLC, ForwardingMethod.DR, direct);
            live(effort, sheet, wires, SchedulerKind.MH, ForwardingMethod.NAT, nat);
            besideNftables(effort, sheet, wires);
        }
    }

    /** The director's NAT and the kernel's, over the same wires. */
    private static void besideNftables(Effort effort, Sheet sheet, LiveBenchmark wires) throws IOException {
        Row.Target target = Row.Target.ratioAtLeast(3, "3 times nftables DNAT in the same run");
        Optional<Path> nft = Programs.find("nft");
        if (nft.isEmpty()) {
            sheet.note("No row beside nftables: nft is not installed (Debian package nftables).");
            return;
        }
        wires.translateByNftables(nft.get());
        for (int clients : new int[] {1, 4096}) {
            String name = "live, nat (peer: nftables), known, mh, " + connections(clients);
            live(effort, sheet, wires, Middle.KERNEL, name, clients, target);
        }
    }

    private static void live(
            Effort effort,
            Sheet sheet,
            LiveBenchmark wires,
            SchedulerKind scheduler,
            ForwardingMethod method,
            Row.Target target)
            throws IOException {
        wires.engine().remove(WEB);
        wires.engine().put(service(WEB, XdpBenchmark.VIP4, scheduler, method, servers(1, 100, false)));
        if (!wires.complaints().isEmpty()) {
            throw new IOException(wires.complaints().getFirst());
        }
        for (int clients : new int[] {1, 4096}) {
            String name =
                    "live, " + method.yamlName() + ", known, " + scheduler.yamlName() + ", " + connections(clients);
            live(effort, sheet, wires, Middle.REDIRECT, name, clients, target);
        }
    }

    private static void live(
            Effort effort, Sheet sheet, LiveBenchmark wires, Middle peer, String name, int clients, Row.Target target)
            throws IOException {
        // By the clock on the wall, so several readings: whoever else wants the processor spoils a few of them.
        int frames = effort.seconds() * LIVE_FRAMES_A_SECOND;
        double[] ours = new double[effort.rounds() * LIVE_READINGS];
        double[] theirs = new double[ours.length];
        double[] lost = new double[ours.length];
        wires.send(Middle.DIRECTOR, clients, frames);
        for (int reading = 0; reading < ours.length; reading++) {
            LiveBenchmark.Rate other = wires.send(peer, clients, frames);
            LiveBenchmark.Rate director = wires.send(Middle.DIRECTOR, clients, frames);
            theirs[reading] = other.perSecond() / 1e6;
            ours[reading] = director.perSecond() / 1e6;
            lost[reading] = director.lost();
        }
        sheet.add(Row.paired(name, "Mpps", ours, theirs, null, target));
        sheet.add(Row.own(name + ", lost", "frames", Sample.of(lost), Row.Target.atMost(0, "no loss")));
        sheet.progress(
                name + ": " + Sample.of(ours).text() + ", " + (peer == Middle.REDIRECT ? "bare redirect " : "nftables ")
                        + Sample.of(theirs).text());
    }

    private static String connections(int count) {
        return count == 1 ? "1 connection" : Sample.number(count) + " connections";
    }

    private static Forwarding service(
            String name, InetAddress vip, SchedulerKind scheduler, ForwardingMethod method, List<Server> servers) {
        return new Forwarding(
                name,
                List.of(new Endpoint(vip, XdpBenchmark.PORT, Endpoint.Protocol.TCP)),
                scheduler,
                method,
                Optional.empty(),
                TIMEOUTS,
                new ServiceSpec.Limits(0, 0, 0),
                new ServiceSpec.ConnectRetry(0, 0),
                ServiceSpec.ProxyProtocol.OFF,
                ServiceSpec.OnDown.KEEP,
                Optional.empty(),
                servers,
                Optional.empty());
    }

    /** The same with networks of so many bits as clients that stay at their server. */
    private static Forwarding persistent(Forwarding plain, int prefix4) {
        return new Forwarding(
                plain.service(),
                plain.listen(),
                plain.scheduler(),
                plain.method(),
                Optional.of(new ServiceSpec.Persistence(Duration.ofMinutes(5), prefix4, 128)),
                plain.timeouts(),
                plain.limits(),
                plain.connectRetry(),
                plain.proxyProtocol(),
                plain.onDown(),
                plain.source(),
                plain.servers(),
                plain.sorry());
    }

    /** Servers with weight 1, by number. */
    private static List<Server> servers(int first, int count, boolean ipv6) {
        List<Server> servers = new ArrayList<>();
        for (int number = first; number < first + count; number++) {
            servers.add(server(number, ipv6, ServerState.UP));
        }
        return servers;
    }

    private static Server server(int number, boolean ipv6, ServerState state) {
        String address = ipv6
                ? "2001:db8:5::" + Integer.toHexString(number)
                : "10." + (1 + (number >> 16)) + "." + (number >> 8 & 255) + "." + (number & 255);
        return new Server("s" + number, new InetSocketAddress(InetAddress.ofLiteral(address), 80), 1, 0, state);
    }

    /** Something whose cost is read, in nanoseconds a packet. */
    private interface Reading {
        double take() throws IOException;
    }

    /** Packet by packet. */
    private static final class Packets {
        private final XdpBenchmark plane;
        private final int rounds;
        private final int count;
        private final Sheet sheet;

        Packets(XdpBenchmark plane, Effort effort, Sheet sheet) {
            this.plane = plane;
            this.rounds = effort.rounds();
            this.count = effort.seconds() * PACKETS_A_SECOND;
            this.sheet = sheet;
        }

        /** Readings of it, each beside one of the floor, and of a peer where there is one. */
        private void row(String name, Floor floor, Reading reading, @Nullable Reading peer, Row.@Nullable Target target)
                throws IOException {
            double[] ours = new double[rounds];
            double[] theirs = new double[rounds];
            double[] least = new double[rounds];
            for (int round = 0; round < rounds; round++) {
                least[round] = mean(() -> plane.floor(floor, count));
                ours[round] = reading.take();
                if (peer != null) {
                    theirs[round] = peer.take();
                }
            }
            sheet.add(Row.paired(name, "ns/packet", ours, peer == null ? null : theirs, least, target));
            sheet.progress(name + ": " + Sample.of(ours).text() + ", floor "
                    + Sample.of(least).text());
        }

        private void row(String name, double nanos, Reading reading) throws IOException {
            Row.Target target =
                    nanos == 0 ? null : Row.Target.toFloorAtMost(nanos / FLOOR, Sample.number(nanos) + SOURCE);
            row(name, Floor.ENCAPSULATE, reading, null, target);
        }

        private static double mean(Reading reading) throws IOException {
            double sum = 0;
            for (int run = 0; run < RUNS; run++) {
                sum += reading.take();
            }
            return sum / RUNS;
        }

        private void install(boolean ipv6, SchedulerKind scheduler, ForwardingMethod method, List<Server> servers)
                throws IOException {
            plane.engine().put(service(WEB, ipv6 ? XdpBenchmark.VIP6 : XdpBenchmark.VIP4, scheduler, method, servers));
            if (!plane.complaints().isEmpty()) {
                throw new IOException(plane.complaints().getFirst());
            }
        }

        private void fresh(Forwarding service) throws IOException {
            plane.engine().remove(WEB);
            plane.forget();
            plane.engine().put(service);
            if (!plane.complaints().isEmpty()) {
                throw new IOException(plane.complaints().getFirst());
            }
        }

        /** Installs a service that has no connections. */
        private void fresh(boolean ipv6, SchedulerKind scheduler, ForwardingMethod method, int servers)
                throws IOException {
            plane.engine().remove(WEB);
            plane.forget();
            install(ipv6, scheduler, method, servers(1, servers, ipv6));
        }

        private Reading going(boolean ipv6, int clients) {
            return () -> {
                plane.packets(ipv6, false, clients, SETTLING);
                return mean(() -> plane.packets(ipv6, false, clients, count));
            };
        }

        /** New connections until the reading's end; the table has room for all of them. */
        private Reading opening(boolean ipv6, Reading before) {
            return () -> {
                before.take();
                plane.packets(ipv6, true, XdpBenchmark.NEW_EACH_TIME, WARM_UP);
                return mean(() -> plane.packets(ipv6, true, XdpBenchmark.NEW_EACH_TIME, Math.min(count, NEW_AT_MOST)));
            };
        }

        private Reading opening(boolean ipv6, SchedulerKind scheduler, int servers) {
            return opening(ipv6, () -> {
                fresh(ipv6, scheduler, ForwardingMethod.TUNNEL, servers);
                return 0;
            });
        }

        private void remember(boolean ipv6, int clients) throws IOException {
            plane.packets(ipv6, true, clients, clients);
            plane.packets(ipv6, false, clients, clients);
        }

        void known() throws IOException {
            fresh(false, SchedulerKind.MH, ForwardingMethod.TUNNEL, 100);
            row("known, mh, 1 connection", 80, going(false, 1));
            row("known, mh, 4,096 connections", 100, going(false, 4096));
            fresh(false, SchedulerKind.WLC, ForwardingMethod.TUNNEL, 100);
            for (int clients : new int[] {1, 4096, 1 << 16, 1 << 19}) {
                remember(false, clients);
                row(
                        "known, wlc, " + connections(clients),
                        clients == 1 ? 80 : clients == 4096 ? 100 : 0,
                        going(false, clients));
            }
        }

        void opening() throws IOException {
            row("new, mh, 100 servers", 150, opening(false, SchedulerKind.MH, 100));
            row("new, mh, 100 servers, 1 just removed", 150, opening(false, () -> {
                fresh(false, SchedulerKind.MH, ForwardingMethod.TUNNEL, 100);
                install(false, SchedulerKind.MH, ForwardingMethod.TUNNEL, servers(2, 99, false));
                return 0;
            }));
            row("new, mh, 100 servers, all just exchanged", 0, opening(false, () -> {
                fresh(false, SchedulerKind.MH, ForwardingMethod.TUNNEL, 100);
                install(false, SchedulerKind.MH, ForwardingMethod.TUNNEL, servers(101, 100, false));
                return 0;
            }));
            for (SchedulerKind scheduler : new SchedulerKind[] {
                SchedulerKind.RR,
                SchedulerKind.WRR,
                SchedulerKind.LC,
                SchedulerKind.WLC,
                SchedulerKind.SED,
                SchedulerKind.NQ
            }) {
                for (int servers : new int[] {16, 1024}) {
                    row(
                            "new, " + scheduler.yamlName() + ", " + Sample.number(servers) + " servers",
                            350,
                            opening(false, scheduler, servers));
                }
            }
            row("new, wlc, 1,024 servers, table full of half open ones", 0, opening(false, () -> {
                fresh(false, SchedulerKind.WLC, ForwardingMethod.TUNNEL, 1024);
                return plane.packets(false, true, XdpBenchmark.NEW_EACH_TIME, 2 * CONNECTIONS);
            }));
        }

        /** The peer is the same by IPv4: tunnels of each within their own kind. */
        void ipv6() throws IOException {
            Row.Target target = Row.Target.ratioAtMost(1.15, "IPv6 within 15 % of IPv4");
            for (ForwardingMethod method : new ForwardingMethod[] {ForwardingMethod.TUNNEL, ForwardingMethod.DR}) {
                both("known, mh, 1 connection", SchedulerKind.MH, method, target, 1);
                both("known, wlc, 4,096 connections", SchedulerKind.WLC, method, target, 4096);
            }
            row(
                    "IPv6 (peer: IPv4): new, wlc, 16 servers",
                    Floor.ENCAPSULATE,
                    opening(true, SchedulerKind.WLC, 16),
                    opening(false, SchedulerKind.WLC, 16),
                    target);
        }

        private void both(String name, SchedulerKind scheduler, ForwardingMethod method, Row.Target target, int clients)
                throws IOException {
            row(
                    "IPv6 (peer: IPv4): " + name + ", " + method.yamlName(),
                    method == ForwardingMethod.DR ? Floor.TRANSMIT : Floor.ENCAPSULATE,
                    () -> freshKnown(true, scheduler, method, clients),
                    () -> freshKnown(false, scheduler, method, clients),
                    target);
        }

        private double freshKnown(boolean ipv6, SchedulerKind scheduler, ForwardingMethod method, int clients)
                throws IOException {
            fresh(ipv6, scheduler, method, 100);
            remember(ipv6, clients);
            return going(ipv6, clients).take();
        }

        /** The peer is the same service without it. */
        void persistence() throws IOException {
            String what = "persistence (peer: none): ";
            row(
                    what + "known, wlc, 4,096 connections",
                    Floor.ENCAPSULATE,
                    () -> {
                        freshPersistent(32);
                        remember(false, 4096);
                        return going(false, 4096).take();
                    },
                    () -> freshKnown(false, SchedulerKind.WLC, ForwardingMethod.TUNNEL, 4096),
                    null);
            for (int prefix : new int[] {32, 20}) {
                row(
                        what + "new, wlc, 100 servers, " + (prefix == 32 ? "clients new as well" : "clients known"),
                        Floor.ENCAPSULATE,
                        opening(false, () -> freshPersistent(prefix)),
                        opening(false, SchedulerKind.WLC, 100),
                        null);
            }
            plane.engine().remove(WEB);
        }

        private double freshPersistent(int prefix) throws IOException {
            plane.engine().remove(WEB);
            plane.forget();
            plane.engine()
                    .put(persistent(
                            service(
                                    WEB,
                                    XdpBenchmark.VIP4,
                                    SchedulerKind.WLC,
                                    ForwardingMethod.TUNNEL,
                                    servers(1, 100, false)),
                            prefix));
            if (!plane.complaints().isEmpty()) {
                throw new IOException(plane.complaints().getFirst());
            }
            return 0;
        }

        void methods() throws IOException {
            for (ForwardingMethod method :
                    new ForwardingMethod[] {ForwardingMethod.DR, ForwardingMethod.GUE, ForwardingMethod.NAT}) {
                fresh(false, SchedulerKind.MH, method, 100);
                remember(false, 1);
                row(
                        "known, mh, 1 connection, " + method.yamlName(),
                        method == ForwardingMethod.GUE ? Floor.ENCAPSULATE : Floor.TRANSMIT,
                        going(false, 1),
                        null,
                        null);
            }
            plane.engine().remove(WEB);
        }

        /** A client's datagrams with an ID of a server's, to a service that looks for one and to one that does not. */
        void quic() throws IOException {
            String key = "8f95f09245765f80256934e50c66207f";
            ServiceSpec.Quic plain = new ServiceSpec.Quic(0, 2);
            ServiceSpec.Quic onePass = new ServiceSpec.Quic(0, 2, Optional.of(new ServiceSpec.QuicEncryption(14, key)));
            ServiceSpec.Quic threePasses =
                    new ServiceSpec.Quic(0, 2, Optional.of(new ServiceSpec.QuicEncryption(6, key)));
            quic("plain", SchedulerKind.MH, plain);
            quic("plain", SchedulerKind.WLC, plain);
            quic("encrypted, 16 bytes", SchedulerKind.MH, onePass);
            quic("encrypted, 8 bytes", SchedulerKind.MH, threePasses);
        }

        private void quic(String ids, SchedulerKind scheduler, ServiceSpec.Quic quic) throws IOException {
            row(
                    "QUIC by connection ID (peer: not looked into), " + ids + ", " + scheduler.yamlName() + ", dr",
                    Floor.TRANSMIT,
                    () -> datagrams(scheduler, quic, true),
                    () -> datagrams(scheduler, quic, false),
                    null);
        }

        private double datagrams(SchedulerKind scheduler, ServiceSpec.Quic quic, boolean read) throws IOException {
            int nonce = quic.encryption()
                    .map(ServiceSpec.QuicEncryption::nonceLength)
                    .orElse(QuicIds.MIN_NONCE);
            QuicIds ids = quic.encryption()
                    .map(e -> QuicIds.encrypted(
                            quic.config(),
                            quic.serverIdLength(),
                            nonce,
                            HexFormat.of().parseHex(e.key())))
                    .orElseGet(() -> QuicIds.plain(quic.config(), quic.serverIdLength(), nonce));
            byte[] id = ids.make(new byte[] {0, 1}, new byte[nonce]);
            byte[] datagram = new byte[64];
            datagram[0] = 0x40;
            System.arraycopy(id, 0, datagram, 1, id.length);
            plane.engine().remove(WEB);
            plane.forget();
            plane.engine().put(datagramService(scheduler, read ? Optional.of(quic) : Optional.empty()));
            if (!plane.complaints().isEmpty()) {
                throw new IOException(plane.complaints().getFirst());
            }
            plane.datagrams(datagram, 1, SETTLING);
            double nanos = mean(() -> plane.datagrams(datagram, 1, count));
            plane.engine().remove(WEB);
            return nanos;
        }

        /** The peer is the same SYN where it is remembered and goes to a server. */
        void cookies() throws IOException {
            Forwarding nat =
                    service(WEB, XdpBenchmark.VIP4, SchedulerKind.MH, ForwardingMethod.NAT, servers(1, 100, false));
            row(
                    "SYN answered with a cookie (peer: new connection), mh, nat",
                    Floor.TRANSMIT,
                    () -> {
                        fresh(nat.with(ServiceSpec.SynCookies.ALWAYS));
                        plane.greeted(WARM_UP);
                        return mean(() -> plane.greeted(Math.min(count, NEW_AT_MOST)));
                    },
                    opening(false, () -> {
                        fresh(nat);
                        return 0;
                    }),
                    null);
            plane.engine().remove(WEB);
        }

        private static Forwarding datagramService(SchedulerKind scheduler, Optional<ServiceSpec.Quic> quic) {
            List<Server> servers = servers(1, 100, false).stream()
                    .map(s -> new Server(
                            s.name(),
                            s.address(),
                            s.weight(),
                            s.limit(),
                            s.state(),
                            Optional.of("00"
                                    + HexFormat.of()
                                            .toHexDigits(Byte.parseByte(s.name().substring(1))))))
                    .toList();
            return new Forwarding(
                    WEB,
                    List.of(new Endpoint(XdpBenchmark.VIP4, XdpBenchmark.PORT, Endpoint.Protocol.UDP)),
                    scheduler,
                    ForwardingMethod.DR,
                    Optional.empty(),
                    TIMEOUTS,
                    new ServiceSpec.Limits(0, 0, 0),
                    new ServiceSpec.ConnectRetry(0, 0),
                    ServiceSpec.ProxyProtocol.OFF,
                    ServiceSpec.OnDown.KEEP,
                    Optional.empty(),
                    servers,
                    Optional.empty(),
                    quic);
        }
    }

    /** What the daemon does when servers change. */
    private static final class Tables {
        private static final Row.Target CHANGE =
                Row.Target.atMost(50, "a health change among 10,000 services, 10,000 servers, 1,000,000 connections");
        private static final Row.Target BUILD = Row.Target.atMost(5, "Maglev table build under 5 ms");

        private final int rounds;
        private final Sheet sheet;

        Tables(Effort effort, Sheet sheet) {
            this.rounds = Math.max(2, effort.rounds());
            this.sheet = sheet;
        }

        void measure() throws IOException {
            for (int servers : new int[] {10, 100, 1_000}) {
                build(servers);
            }
            // A service of 10 servers has numbers for 32, one of 1,000 for 4,096.
            try (XdpBenchmark plane = XdpBenchmark.open(new Room(SERVICES, 32 * SERVICES + 8192, 4, CONNECTIONS))) {
                change(plane);
            }
        }

        private void build(int count) {
            List<ScheduleTable.Server> servers = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                servers.add(new ScheduleTable.Server("s" + number, 1, 1, true));
            }
            String name = "Maglev table of 65,537 slots, " + Sample.number(count) + " servers";
            double[] millis = new double[4 * rounds];
            for (int round = 0; round < millis.length; round++) {
                millis[round] = millis(() -> ScheduleTable.of(SchedulerKind.MH, HashOptions.DEFAULT, servers));
            }
            sheet.add(Row.own(name, "ms", Sample.of(millis), BUILD));
            sheet.progress(name + ": " + Sample.of(millis).text());
        }

        private void change(XdpBenchmark plane) throws IOException {
            sheet.progress("installing " + Sample.number(SERVICES) + " services of " + SERVERS_OF_EACH + " servers");
            for (int number = 2; number < SERVICES; number++) {
                plane.engine().put(small(number, -1));
            }
            plane.engine().put(large("large-wlc", XdpBenchmark.VIP4, SchedulerKind.WLC, ServerState.UP));
            plane.engine().put(large("large-mh", XdpBenchmark.VIP6, SchedulerKind.MH, ServerState.UP));
            if (!plane.complaints().isEmpty()) {
                throw new IOException(plane.complaints().getFirst());
            }
            plane.packets(false, true, XdpBenchmark.NEW_EACH_TIME, REMEMBERED);
            String size =
                    Sample.number(SERVICES) + " services, " + Sample.number(plane.remembered()) + " connections: ";
            double[] millis = new double[2 * rounds];
            for (int round = 0; round < millis.length; round++) {
                // The server stands in as many services as each has servers.
                int server = 1 + round * 97;
                int down = round;
                millis[round] = millis(() -> {
                    for (int service = server; service > server - SERVERS_OF_EACH; service--) {
                        plane.engine()
                                .put(small(2 + Math.floorMod(service, SERVICES - 2), down % 2 == 0 ? server : -1));
                    }
                });
            }
            sheet.add(Row.own(size + "a server of 10 of them fails", "ms", Sample.of(millis), CHANGE));
            for (SchedulerKind scheduler : new SchedulerKind[] {SchedulerKind.WLC, SchedulerKind.MH}) {
                InetAddress vip = scheduler == SchedulerKind.MH ? XdpBenchmark.VIP6 : XdpBenchmark.VIP4;
                for (int round = 0; round < millis.length; round++) {
                    ServerState state = round % 2 == 0 ? ServerState.DOWN : ServerState.UP;
                    millis[round] = millis(
                            () -> plane.engine().put(large("large-" + scheduler.yamlName(), vip, scheduler, state)));
                }
                sheet.add(Row.own(
                        size + "one of 1,000 of a service fails, " + scheduler.yamlName(),
                        "ms",
                        Sample.of(millis),
                        CHANGE));
            }
            for (int round = 0; round < millis.length; round++) {
                millis[round] = millis(plane::tick);
            }
            sheet.add(Row.info(size + "the work of each second", "ms", Sample.of(millis)));
            sheet.add(Row.info(size + "tables", "MiB", Sample.of(plane.memory() / 1048576.0)));
            sheet.note(
                    "A table of mh takes 256 KiB, whatever its service; here all services but one are wlc. The flow table"
                            + " has " + Sample.number(CONNECTIONS) + " places.");
        }

        private static Forwarding small(int number, int failed) {
            List<Server> servers = new ArrayList<>();
            for (int i = 0; i < SERVERS_OF_EACH; i++) {
                int server = (number + i) % SERVERS;
                servers.add(server(server, false, server == failed ? ServerState.DOWN : ServerState.UP));
            }
            return service(
                    "service-" + number,
                    InetAddress.ofLiteral("100.64." + (number >> 8) + "." + (number & 255)),
                    SchedulerKind.WLC,
                    ForwardingMethod.TUNNEL,
                    servers);
        }

        private static Forwarding large(String name, InetAddress vip, SchedulerKind scheduler, ServerState first) {
            List<Server> servers = servers(1, 1_000, false);
            servers.set(0, server(1, false, first));
            return service(name, vip, scheduler, ForwardingMethod.TUNNEL, servers);
        }

        private static double millis(Runnable work) {
            long begun = System.nanoTime();
            work.run();
            return (System.nanoTime() - begun) / 1e6;
        }
    }
}
