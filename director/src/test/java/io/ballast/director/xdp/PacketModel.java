package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.first;
import static io.ballast.director.xdp.Frames.icmp;
import static io.ballast.director.xdp.Frames.ip4;
import static io.ballast.director.xdp.Frames.ip6;
import static io.ballast.director.xdp.Frames.join;
import static io.ballast.director.xdp.Frames.shorts;
import static io.ballast.director.xdp.Frames.tail;

import io.ballast.core.config.Endpoint;
import io.ballast.linux.bpf.XdpAction;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the data plane ought to do with a frame, said slowly: read it as the RFCs have it, find the service, and build
 * the frame that goes to its server from the beginning. Services have one server each.
 */
final class PacketModel {
    private static final int QUOTED4 = 128;
    private static final int QUOTED6 = 256;
    private static final int EXTENSIONS = 4;

    /** A server, as {@link Bench#server} has it. */
    record Server(int number, int flags, InetAddress address, InetAddress source, int guePort, int mtu) {
        int overhead() {
            return ((flags & Layout.TUNNEL4) != 0 ? 20 : (flags & Layout.TUNNEL6) != 0 ? 40 : 0)
                    + ((flags & Layout.GUE) != 0 ? 8 : 0);
        }
    }

    /** An endpoint; a range stands before the whole address, as packets look at them. */
    record Service(Endpoint endpoint, Server server) {}

    /** What may come of a frame. */
    private enum Verdict {
        /** Left to the kernel, as it was. */
        PASS,
        /** Sent. */
        SENT,
        /** Sent where the first fragment is still remembered, else left to the kernel. */
        FOLLOWS,
        /** What is too long, and is not answered. */
        DROPPED,
        /** The same, where the first fragment is still remembered. */
        FOLLOWS_AND_DROPPED
    }

    /** A verdict and the frame that is sent; the source port of GUE, where it has one, is free above 0xc000. */
    private static final class Outcome {
        private final Verdict verdict;
        private final byte[] frame;
        private final int sourcePortAt;

        Outcome(Verdict verdict, byte[] frame, int sourcePortAt) {
            this.verdict = verdict;
            this.frame = frame;
            this.sourcePortAt = sourcePortAt;
        }

        boolean isSent(XdpAction action, byte[] out) {
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
        int id;
        InetAddress source = Inet4Address.ofLiteral("0.0.0.0");
        InetAddress destination = source;
    }

    private static final Outcome PASS = new Outcome(Verdict.PASS, new byte[0], 0);

    private final List<Service> services;
    private final Map<Key, Server> fragments = new HashMap<>();

    PacketModel(List<Service> services) {
        this.services = services;
    }

    private static int u8(byte[] bytes, int at) {
        return bytes[at] & 0xff;
    }

    private static int u16(byte[] bytes, int at) {
        return (u8(bytes, at) << 8) | u8(bytes, at + 1);
    }

    private static InetAddress address(byte[] bytes, int at, int length) {
        try {
            return InetAddress.getByAddress(Arrays.copyOfRange(bytes, at, at + length));
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        }
    }

    private @Nullable Server find(byte[] vip, int port, int proto) {
        if (proto != Frames.TCP && proto != Frames.UDP) {
            return null;
        }
        Endpoint.Protocol protocol = proto == Frames.TCP ? Endpoint.Protocol.TCP : Endpoint.Protocol.UDP;
        Server server = null;
        for (Service service : services) {
            Endpoint endpoint = service.endpoint;
            boolean here = endpoint.protocol() == protocol
                    && Arrays.equals(endpoint.address().getAddress(), vip);
            if (here && endpoint.firstPort() <= port && port <= endpoint.lastPort()) {
                if (endpoint.single()) {
                    return service.server;
                }
                server = server == null ? service.server : server;
            }
        }
        return server;
    }

    /** What ought to become of the frame. */
    private Outcome expect(byte[] frame) {
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
            return went == null ? PASS : send(frame, l3, packet, read, went);
        }
        if (server == null) {
            return PASS;
        }
        if (read.fragment) {
            fragments.put(key, server);
        }
        return send(frame, l3, packet, read, server);
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
                ? find(Arrays.copyOfRange(packet, 16, 20), u16(packet, header + 2), read.proto)
                : null;
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
        read.error = true;
        return find(
                Arrays.copyOfRange(packet, inner + 12, inner + 16), u16(packet, inner + header), u8(packet, inner + 9));
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
        if (behind || read.follows) {
            return null;
        }
        boolean ports = read.proto == Frames.TCP || read.proto == Frames.UDP;
        return ports && at + (read.proto == Frames.TCP ? 20 : 8) <= read.length
                ? find(Arrays.copyOfRange(packet, 24, 40), u16(packet, at + 2), read.proto)
                : null;
    }

    private @Nullable Server error6(byte[] packet, Packet read) {
        if (packet.length < 92 || u8(packet, 40) < 1 || u8(packet, 40) > 4 || packet[48] >> 4 != 6) {
            return null;
        }
        read.error = true;
        return find(Arrays.copyOfRange(packet, 56, 72), u16(packet, 88), u8(packet, 54));
    }

    private static Outcome send(byte[] frame, int l3, byte[] packet, Packet read, Server server) {
        if (read.length + server.overhead() > server.mtu) {
            return tooBig(frame, l3, packet, read, server.mtu - server.overhead());
        }
        byte[] mac = Bench.mac(server.number);
        int udp = (server.flags & Layout.GUE) != 0 ? 8 : 0;
        byte[] between = udp == 0 ? new byte[0] : shorts(0, server.guePort, read.length + 8, 0);
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

    private static Outcome tooBig(byte[] frame, int l3, byte[] packet, Packet read, int mtu) {
        if (read.error || read.follows) {
            return new Outcome(read.follows ? Verdict.FOLLOWS_AND_DROPPED : Verdict.DROPPED, new byte[0], 0);
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
        return new Outcome(Verdict.SENT, join(front(frame, l3, to, from, header), header, answer), 0);
    }

    /** What is wrong with what the data plane did; null where nothing is. */
    @Nullable
    String complaint(byte[] in, XdpAction action, byte[] out) {
        Outcome expected = expect(in);
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
