package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.first;
import static io.ballast.director.xdp.Frames.icmp;
import static io.ballast.director.xdp.Frames.ip4;
import static io.ballast.director.xdp.Frames.ip6;
import static io.ballast.director.xdp.Frames.join;
import static io.ballast.director.xdp.Frames.shorts;
import static io.ballast.director.xdp.Frames.tail;

import io.ballast.core.config.Endpoint;
import io.ballast.core.quic.QuicIds;
import io.ballast.linux.bpf.XdpAction;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the data plane ought to do with a frame, said slowly: read it as the RFCs have it, find the service, and build
 * the frame that goes to its server from the beginning. Services have one server each.
 *
 * <p>Where addresses are translated, what the director remembers decides: which port it took is read from what it sent,
 * and whether it still knows a connection is its own affair where that was only seen to end, or in an error. What it
 * sends must be right to the byte all the same.
 */
final class PacketModel {
    private static final int QUOTED4 = 128;
    private static final int QUOTED6 = 256;
    private static final int EXTENSIONS = 4;

    /** A server, as {@link Bench#server} has it. */
    record Server(int number, int flags, InetAddress address, InetAddress source, int port, int mtu) {
        int overhead() {
            return ((flags & Layout.TUNNEL4) != 0 ? 20 : (flags & Layout.TUNNEL6) != 0 ? 40 : 0)
                    + ((flags & Layout.GUE) != 0 ? 8 : 0);
        }

        boolean nat() {
            return (flags & Layout.NAT) != 0;
        }

        boolean fullNat() {
            return (flags & Layout.FULL_NAT) != 0;
        }

        int portFor(int asked) {
            return port == 0 ? asked : port;
        }
    }

    /**
     * An endpoint; a range stands before the whole address, as packets look at them.
     *
     * @param named where connection IDs of QUIC are read: the servers by their IDs in hexadecimal digits
     */
    record Service(Endpoint endpoint, Server server, Map<String, Server> named) {
        Service(Endpoint endpoint, Server server) {
            this(endpoint, server, Map.of());
        }
    }

    /** What connection IDs are read as, of services that do. */
    static final QuicIds QUIC = QuicIds.plain(2, 2, QuicIds.MIN_NONCE);

    /** What is behind longer headers is not looked into. */
    private static final int QUIC_HEADERS = 1024;

    /** What may come of a frame. */
    private enum Verdict {
        /** Left to the kernel, as it was. */
        PASS,
        /** Sent. */
        SENT,
        /** Sent where the first fragment or the connection is still remembered, else left to the kernel. */
        FOLLOWS,
        /** What is too long, and is not answered. */
        DROPPED,
        /** The same, where the first fragment or the connection is still remembered. */
        FOLLOWS_AND_DROPPED
    }

    /** A verdict and the frame that is sent; the source port of GUE, where it has one, is free above 0xc000. */
    private static final class Outcome {
        private final Verdict verdict;
        private final byte[] frame;
        private final int sourcePortAt;
        /** Its VLAN tags are those of another packet. */
        private boolean anyTags;

        Outcome(Verdict verdict, byte[] frame, int sourcePortAt) {
            this.verdict = verdict;
            this.frame = frame;
            this.sourcePortAt = sourcePortAt;
        }

        static Outcome back(byte[] frame) {
            Outcome outcome = new Outcome(Verdict.FOLLOWS, frame, 0);
            outcome.anyTags = true;
            return outcome;
        }

        boolean isSent(XdpAction action, byte[] out) {
            if (anyTags && action == XdpAction.TX) {
                return Arrays.equals(first(frame, 12), first(out, 12))
                        && Arrays.equals(tail(frame, 12), tail(out, Frames.l3(out) - 2));
            }
            if (action != XdpAction.TX || frame.length != out.length) {
                return false;
            }
            if (sourcePortAt > 0) {
                if (u16(out, sourcePortAt) < 0xc000) {
                    return false;
                }
                System.arraycopy(out, sourcePortAt, frame, sourcePortAt, 2);
            }
            return Arrays.equals(frame, out);
        }
    }

    private record Key(String source, String destination, int id, int proto, boolean v6) {}

    /** A packet as far as it was understood. */
    private static final class Packet {
        boolean v6;
        int length;
        int proto;
        int tos;
        boolean dontFragment;
        boolean fragment;
        boolean follows;
        boolean error;
        boolean ends;
        int l4;
        int sourcePort;
        int port;
        int id;
        /** Of the connection: those that an error quotes, the other way round. */
        InetAddress client = Inet4Address.ofLiteral("0.0.0.0");

        InetAddress vip = client;
        int quoted;
        InetAddress source = Inet4Address.ofLiteral("0.0.0.0");
        InetAddress destination = source;
    }

    private static final Outcome PASS = new Outcome(Verdict.PASS, new byte[0], 0);

    private final List<Service> services;
    private long named;
    private final Map<Key, Server> fragments = new HashMap<>();

    /** A translated connection: the client, and what it asked for. */
    private record Flow(InetAddress client, int clientPort, InetAddress vip, int port, Server server) {}

    /** How a server sees one: under which address, port and protocol, and its own port. */
    private record Seen(Server server, int serverPort, InetAddress as, int port, int proto) {}

    private final Map<Seen, Flow> flows = new HashMap<>();
    private final Map<Key, Flow> fragmentsBack = new HashMap<>();
    /** Those of which no packet was sent yet, so that their port is not known. */
    private final Set<Flow> unsent = new HashSet<>();

    PacketModel(List<Service> services) {
        this.services = services;
    }

    private static int u8(byte[] bytes, int at) {
        return bytes[at] & 0xff;
    }

    static int u16(byte[] bytes, int at) {
        return (u8(bytes, at) << 8) | u8(bytes, at + 1);
    }

    static InetAddress address(byte[] bytes, int at, int length) {
        try {
            return InetAddress.getByAddress(Arrays.copyOfRange(bytes, at, at + length));
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        }
    }

    private @Nullable Server find(byte[] vip, int port, int proto) {
        Service service = service(vip, port, proto);
        return service == null ? null : service.server;
    }

    private @Nullable Service service(byte[] vip, int port, int proto) {
        if (proto != Frames.TCP && proto != Frames.UDP) {
            return null;
        }
        Endpoint.Protocol protocol = proto == Frames.TCP ? Endpoint.Protocol.TCP : Endpoint.Protocol.UDP;
        Service found = null;
        for (Service service : services) {
            Endpoint endpoint = service.endpoint;
            boolean here = endpoint.protocol() == protocol
                    && Arrays.equals(endpoint.address().getAddress(), vip);
            if (here && endpoint.firstPort() <= port && port <= endpoint.lastPort()) {
                if (endpoint.single()) {
                    return service;
                }
                found = found == null ? service : found;
            }
        }
        return found;
    }

    /** Packets that went to a server because a connection ID named it. */
    long named() {
        return named;
    }

    /** The server that the connection ID in a datagram names, else the service's. */
    private Server choose(Service service, byte[] packet, int at, Packet read) {
        if (service.named.isEmpty() || at >= QUIC_HEADERS) {
            return service.server;
        }
        Server server = QuicDatagrams.serverId(Arrays.copyOfRange(packet, at + 8, read.length), QUIC)
                .map(QuicIds::print)
                .map(service.named::get)
                .orElse(null);
        if (server == null) {
            return service.server;
        }
        named++;
        return server;
    }

    /** What ought to become of the frame. */
    private Outcome expect(byte[] frame, byte[] out) {
        int l3 = 14;
        int type = u16(frame, 12);
        if (type == 0x8100 || type == 0x88a8) {
            // Both tags are read at once, so one alone needs as much behind it.
            if (frame.length < 22) {
                return PASS;
            }
            type = u16(frame, 16);
            l3 = 18;
            if (type == 0x8100 || type == 0x88a8) {
                type = u16(frame, 20);
                l3 = 22;
            }
        }
        byte[] packet = tail(frame, l3);
        Packet read = new Packet();
        Server server = type == 0x0800 ? read4(packet, read) : type == 0x86dd ? read6(packet, read) : null;
        Key key =
                new Key(read.source.getHostAddress(), read.destination.getHostAddress(), read.id, read.proto, read.v6);
        if (read.follows) {
            Server went = fragments.get(key);
            Flow back = fragmentsBack.get(key);
            read.client = read.source;
            return back != null
                    ? answer(packet, read, back)
                    : went == null ? PASS : send(frame, l3, packet, read, went, out);
        }
        if (server == null) {
            Flow back = read.quoted == 0 ? null : answered(read);
            if (back == null) {
                return PASS;
            }
            if (read.fragment) {
                fragmentsBack.put(key, back);
            }
            return answer(packet, read, back);
        }
        if (read.fragment) {
            fragments.put(key, server);
        }
        return send(frame, l3, packet, read, server, out);
    }

    private @Nullable Flow answered(Packet read) {
        for (Service service : services) {
            Server server = service.server;
            if (server.nat() && server.address.equals(read.client)) {
                Flow flow = flows.get(new Seen(server, read.sourcePort, read.vip, read.port, read.quoted));
                if (flow != null) {
                    return flow;
                }
            }
        }
        return null;
    }

    private static NatModel.Shape shape(Packet read, boolean keepFrom) {
        int proto = read.follows ? read.proto : read.quoted;
        return new NatModel.Shape(
                read.v6, read.length, read.l4, proto, read.error, read.fragment, read.follows, keepFrom);
    }

    private static Outcome answer(byte[] packet, Packet read, Flow flow) {
        NatModel.Ends ends = new NatModel.Ends(flow.vip, flow.port, flow.client, flow.clientPort);
        byte[] back = NatModel.translated(packet, shape(read, false), ends);
        return back == null ? PASS : Outcome.back(Frames.frame(Frames.ROUTER, Frames.DIRECTOR, back));
    }

    private static Seen seen(Packet read, Server server, InetAddress as, int port) {
        return new Seen(server, server.portFor(read.port), as, port, read.quoted);
    }

    private static Flow flow(Packet read, Server server) {
        return new Flow(read.client, read.sourcePort, read.vip, read.port, server);
    }

    private void learn(Packet read, Server server, InetAddress as, int port) {
        flows.put(seen(read, server, as, port), flow(read, server));
    }

    /** To a server under its own address; how it knows the client is read from what was sent. */
    private Outcome translate(byte[] frame, int l3, byte[] packet, Packet read, Server server, byte[] out) {
        InetAddress as = server.fullNat() ? server.source : read.client;
        int port = read.sourcePort;
        if (server.fullNat() && !read.follows) {
            int at = l3 + read.l4 + (read.error ? 8 + (read.v6 ? 40 : (packet[read.l4 + 8] & 15) * 4) + 2 : 0);
            port = at + 2 <= out.length ? u16(out, at) : 0;
        }
        int serverPort = server.portFor(read.port);
        NatModel.Ends ends = new NatModel.Ends(as, port, server.address, serverPort);
        boolean remembered = read.follows || read.error || read.ends;
        if (!remembered && !server.fullNat()) {
            learn(read, server, as, port);
        }
        byte[] sent = NatModel.translated(packet, shape(read, read.error && !server.fullNat()), ends);
        if (sent == null) {
            if (!remembered) {
                unsent.add(flow(read, server));
            }
            return PASS;
        }
        if (!read.follows) {
            Flow flow = flow(read, server);
            boolean known =
                    !remembered || unsent.contains(flow) || flow.equals(flows.get(seen(read, server, as, port)));
            boolean free = port >= 1024 && port < 32_768;
            if (server.fullNat() && (!free || !known)) {
                // The director's ports, and none that it did not take for this connection.
                return remembered ? PASS : new Outcome(Verdict.SENT, new byte[0], 0);
            }
            if (server.fullNat()) {
                learn(read, server, as, port);
            }
        }
        byte[] whole = join(Bench.mac(server.number), Frames.DIRECTOR, Arrays.copyOfRange(frame, 12, l3), sent);
        return new Outcome(remembered ? Verdict.FOLLOWS : Verdict.SENT, whole, 0);
    }

    private @Nullable Server read4(byte[] packet, Packet read) {
        if (packet.length < 20 || packet[0] >> 4 != 4) {
            return null;
        }
        int header = (packet[0] & 15) * 4;
        int fragment = u16(packet, 6);
        read.length = u16(packet, 2);
        read.tos = u8(packet, 1);
        read.proto = u8(packet, 9);
        read.dontFragment = (fragment & 0x4000) != 0;
        if (header < 20 || read.length > packet.length) {
            return null;
        }
        read.l4 = header;
        boolean ports = read.proto == Frames.TCP || read.proto == Frames.UDP;
        boolean piece = (fragment & 0x3fff) != 0;
        if (piece && !ports) {
            return null;
        }
        read.id = u16(packet, 4);
        read.source = address(packet, 12, 4);
        read.destination = address(packet, 16, 4);
        if ((fragment & 0x1fff) != 0) {
            read.follows = true;
            return null;
        }
        read.fragment = piece;
        if (read.proto == Frames.ICMP) {
            return error4(packet, header, read);
        }
        return ports && header + (read.proto == Frames.TCP ? 20 : 8) <= read.length
                ? findByPorts(packet, header, read)
                : null;
    }

    private @Nullable Server findByPorts(byte[] packet, int at, Packet read) {
        read.quoted = read.proto;
        read.client = read.source;
        read.vip = read.destination;
        read.sourcePort = u16(packet, at);
        read.port = u16(packet, at + 2);
        read.ends = read.proto == Frames.TCP && (packet[at + 13] & (Frames.FIN | Frames.RST)) != 0;
        Service service = service(read.vip.getAddress(), read.port, read.proto);
        return service == null ? null : choose(service, packet, at, read);
    }

    /** What an error quotes went from the service to the client. */
    private @Nullable Server findByQuoted(byte[] packet, int at, int proto, Packet read) {
        boolean v6 = packet[at] >> 4 == 6;
        int addresses = at + (v6 ? 8 : 12);
        int width = v6 ? 16 : 4;
        int ports = at + (v6 ? 40 : (packet[at] & 15) * 4);
        read.error = true;
        read.vip = address(packet, addresses, width);
        read.client = address(packet, addresses + width, width);
        read.port = u16(packet, ports);
        read.sourcePort = u16(packet, ports + 2);
        if (proto == Frames.TCP || proto == Frames.UDP) {
            read.quoted = proto;
        }
        return find(read.vip.getAddress(), read.port, proto);
    }

    private @Nullable Server error4(byte[] packet, int at, Packet read) {
        int inner = at + 8;
        if (packet.length < inner + 20) {
            return null;
        }
        int type = u8(packet, at);
        int header = (packet[inner] & 15) * 4;
        boolean known = type == 3 || type == 11 || type == 12;
        if (!known
                || packet[inner] >> 4 != 4
                || header < 20
                || (u16(packet, inner + 6) & 0x1fff) != 0
                || packet.length < inner + header + 4) {
            return null;
        }
        return findByQuoted(packet, inner, u8(packet, inner + 9), read);
    }

    private @Nullable Server read6(byte[] packet, Packet read) {
        if (packet.length < 40 || packet[0] >> 4 != 6) {
            return null;
        }
        read.v6 = true;
        read.dontFragment = true;
        read.length = 40 + u16(packet, 4);
        read.tos = (u16(packet, 0) >> 4) & 0xff;
        read.proto = u8(packet, 6);
        read.source = address(packet, 8, 16);
        read.destination = address(packet, 24, 16);
        if (read.length > packet.length) {
            return null;
        }
        int at = 40;
        read.l4 = at;
        if (read.proto == Frames.ICMP6) {
            return error6(packet, read);
        }
        boolean behind = true;
        for (int i = 0; i < EXTENSIONS && behind; i++) {
            int kind = read.proto;
            behind = kind == 0 || kind == 43 || kind == 60;
            if (!behind && kind != 44) {
                break;
            }
            if (packet.length < at + 8) {
                return null;
            }
            read.proto = u8(packet, at);
            if (kind == 44) {
                int offset = u16(packet, at + 2);
                read.id = u16(packet, at + 4) << 16 | u16(packet, at + 6);
                read.fragment = (offset & 0xfff9) != 0;
                read.follows = (offset & 0xfff8) != 0;
                at += 8;
            } else {
                at += 8 + u8(packet, at + 1) * 8;
            }
        }
        read.l4 = at;
        if (behind || read.follows) {
            return null;
        }
        boolean ports = read.proto == Frames.TCP || read.proto == Frames.UDP;
        return ports && at + (read.proto == Frames.TCP ? 20 : 8) <= read.length ? findByPorts(packet, at, read) : null;
    }

    private @Nullable Server error6(byte[] packet, Packet read) {
        if (packet.length < 92 || u8(packet, 40) < 1 || u8(packet, 40) > 4 || packet[48] >> 4 != 6) {
            return null;
        }
        return findByQuoted(packet, 48, u8(packet, 54), read);
    }

    private Outcome send(byte[] frame, int l3, byte[] packet, Packet read, Server server, byte[] out) {
        if (read.length + server.overhead() > server.mtu) {
            if (server.nat() && !read.follows && !read.error && !read.ends) {
                learn(read, server, read.client, read.sourcePort);
                unsent.add(flow(read, server));
            }
            return tooBig(frame, l3, packet, read, server);
        }
        if (server.nat()) {
            return translate(frame, l3, packet, read, server, out);
        }
        byte[] mac = Bench.mac(server.number);
        int udp = (server.flags & Layout.GUE) != 0 ? 8 : 0;
        byte[] between = udp == 0 ? new byte[0] : shorts(0, server.port, read.length + 8, 0);
        int proto = udp != 0 ? Frames.UDP : read.v6 ? 41 : 4;
        byte[] outer;
        if ((server.flags & Layout.TUNNEL4) != 0) {
            int fragment = read.dontFragment ? 0x4000 : 0;
            outer = ip4(
                    server.source, server.address, proto, read.tos, 0, fragment, 64, new byte[0], read.length + udp);
        } else if ((server.flags & Layout.TUNNEL6) != 0) {
            outer = ip6(server.source, server.address, proto, read.tos, 64, read.length + udp);
        } else {
            byte[] direct = join(mac, Frames.DIRECTOR, tail(frame, 12));
            return new Outcome(read.follows ? Verdict.FOLLOWS : Verdict.SENT, direct, 0);
        }
        byte[] sent = join(front(frame, l3, mac, Frames.DIRECTOR, outer), outer, between, packet);
        return new Outcome(read.follows ? Verdict.FOLLOWS : Verdict.SENT, sent, udp == 0 ? 0 : l3 + outer.length);
    }

    /** The frame's header with its tags, in front of another packet. */
    private static byte[] front(byte[] frame, int l3, byte[] to, byte[] from, byte[] packet) {
        return join(to, from, Arrays.copyOfRange(frame, 12, l3 - 2), shorts(packet[0] >> 4 == 6 ? 0x86dd : 0x0800));
    }

    private static Outcome tooBig(byte[] frame, int l3, byte[] packet, Packet read, Server server) {
        int mtu = server.mtu - server.overhead();
        if (read.error || read.follows) {
            boolean maybe = read.follows || server.nat();
            return new Outcome(maybe ? Verdict.FOLLOWS_AND_DROPPED : Verdict.DROPPED, new byte[0], 0);
        }
        InetAddress vip = read.destination;
        InetAddress client = read.source;
        byte[] answer = read.v6
                ? icmp(vip, client, 2, 0, mtu, first(packet, QUOTED6))
                : icmp(vip, client, 3, 4, mtu, first(packet, QUOTED4));
        byte[] header = read.v6
                ? ip6(vip, client, Frames.ICMP6, 0, 64, answer.length)
                : ip4(vip, client, Frames.ICMP, 0, 0, 0x4000, 64, new byte[0], answer.length);
        byte[] to = Arrays.copyOfRange(frame, 6, 12);
        byte[] from = first(frame, 6);
        boolean maybe = server.nat() && read.ends;
        return new Outcome(
                maybe ? Verdict.FOLLOWS : Verdict.SENT, join(front(frame, l3, to, from, header), header, answer), 0);
    }

    /** What is wrong with what the data plane did; null where nothing is. */
    @Nullable
    String complaint(byte[] in, XdpAction action, byte[] out) {
        Outcome expected = expect(in, out);
        boolean passed = action == XdpAction.PASS && Arrays.equals(out, in);
        boolean right = switch (expected.verdict) {
            case PASS -> passed;
            case SENT -> expected.isSent(action, out);
            case FOLLOWS -> passed || expected.isSent(action, out);
            case DROPPED -> action == XdpAction.DROP;
            case FOLLOWS_AND_DROPPED -> passed || action == XdpAction.DROP;
        };
        return right
                ? null
                : "expected " + expected.verdict + " " + hex(expected.frame) + "\nbut was " + action + " " + hex(out);
    }

    static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }
}
