package io.ballast.takeover.wire;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.Descriptor;
import io.ballast.linux.ProtocolSocket;
import io.ballast.linux.TimedSends;
import io.ballast.linux.netlink.Link;
import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.AdvertisementCodec;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.AdvertisementCodec.Decoded;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.AuthenticationHeader;
import io.ballast.takeover.vrrp.Discard;
import io.ballast.takeover.vrrp.HmacTrailer;
import io.ballast.takeover.vrrp.VirtualRouter;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** One {@link VirtualRouter} with the sockets that it advertises by. Of the takeover thread. */
final class Instance implements VirtualRouter.Output, AutoCloseable {
    private static final int TRANSITIONS = 16;
    private static final int PEERS = 64;

    /** So many intervals, and so long, after it was last found, a thing is over. */
    private static final int FORGETTING = 10;

    private static final long FORGETTING_LEAST = 5_000_000_000L;

    /** For how long addresses stay that another is taking: to add and announce one takes 1 to 5 ms. */
    private static final long OVERLAP = 20_000_000;

    /** How often it is said that a node leaves where something depends on it, and how far apart: all in one lease. */
    private static final int TIMES = 3;

    private static final long AGAIN = 30_000_000;

    private static final long NEVER = Long.MAX_VALUE;

    /** Where it sends to. */
    private record Sender(InetAddress destination, Descriptor socket, TimedSends.Stream stream) {}

    /** What it was before it met the network that it is on now: an address that no node has. */
    private final InetAddress nobody;

    private final Wires wires;
    private final VirtualRouter router;
    private final Party party;
    private Membership member;
    private @Nullable Link link;
    /** Where its packets leave, and its addresses are: the same, or one with an Ethernet address of its own. */
    private @Nullable Link carrier;

    private @Nullable InetAddress source;
    private String trouble = "";
    /** Whether it was on its network before. */
    private boolean wasThere;

    private List<Sender> senders = List.of();

    private @Nullable HmacTrailer trailer;
    private @Nullable AuthenticationHeader header;
    private @Nullable Advertisement current;
    private Map<Sender, byte[]> payloads = Map.of();
    private long next;
    private long lastQueued;
    /** Whether the virtual router is to have the addresses, and what that depends on may be awaited still. */
    private boolean elected;
    /** Whether it has them. */
    private boolean holds;
    /** Until when it may. */
    private long mayHold = NEVER;
    /** Whether it was said that it waits for them. */
    private boolean waited;
    /** When it lets go of addresses that another has taken. */
    private long letGo = NEVER;

    private Instant since = Instant.now();

    private final Map<InetAddress, RouterStatus.Peer> peers = new LinkedHashMap<>();
    private final EnumMap<Discard, Long> discarded = new EnumMap<>(Discard.class);
    private final Notices notices = new Notices();
    private final ArrayDeque<RouterStatus.Transition> transitions = new ArrayDeque<>();
    private final Jitter jitter = new Jitter();
    private final Jitter silences = new Jitter();
    private long lastHeard;
    private long masterHeard;
    private long unsentBefore;
    private long sentBefore;

    /** What all of them share. */
    interface Wires {
        TimedSends sends();

        Ownership ownership();

        Takeover.Listener listener();

        /** By what advertisements of a virtual router are heard; null where they are not. */
        @Nullable
        Ear ear(Link link, Membership member);

        long now();

        /** What was not heard for a while may be otherwise by now. */
        void wasAway();
    }

    Instance(Membership member, Party party, InetAddress nobody, Wires wires) {
        this.member = member;
        this.party = party;
        this.nobody = nobody;
        this.wires = wires;
        this.router = new VirtualRouter(member.settings(nobody), this, wires.now());
        authenticate();
    }

    Membership member() {
        return member;
    }

    VirtualRouter router() {
        return router;
    }

    Role role() {
        return router.role();
    }

    /** Whether the virtual router is to have the addresses. */
    boolean elected() {
        return elected;
    }

    /** Whether it has them. */
    boolean holds() {
        return holds;
    }

    // ---- The network that it is on

    /**
     * What is known of its interface now.
     *
     * @param found the interface, where there is one that works
     * @param on where its addresses are to be
     * @param own the address that it can advertise from, where it has one
     * @param why it has none
     */
    void network(@Nullable Link found, @Nullable Link on, @Nullable InetAddress own, String why, long now) {
        if (found == null || on == null || own == null) {
            lose(why, now);
            return;
        }
        if (link != null
                && carrier != null
                && link.index() == found.index()
                && carrier.index() == on.index()
                && own.equals(source)) {
            return;
        }
        if (link != null) {
            lose("its interface is another", now);
        }
        try {
            openSenders(found, on, own);
        } catch (IOException e) {
            lose(reason(e), now);
            return;
        }
        link = found;
        carrier = on;
        source = own;
        trouble = "";
        router.configure(settings(), now);
        wires.ownership().enter(member, found, on);
        if (wasThere) {
            wires.wasAway();
        }
        wasThere = true;
        party.whole(this, now);
    }

    private void openSenders(Link found, Link on, InetAddress own) throws IOException {
        // To a peer's own address from this node's own: that is not at the virtual router's Ethernet address.
        Link by = member.peers().isEmpty() ? on : found;
        var leaving = new ProtocolSocket.Interface(by.index(), by.name());
        List<InetAddress> destinations =
                member.peers().isEmpty() ? List.of(Takeover.group(member.ipv6())) : member.peers();
        int most = (int) (member.lookAhead() / member.interval()) + 4;
        int longest =
                AdvertisementCodec.length(member.version(), member.addresses().size(), member.ipv6())
                        + Math.max(HmacTrailer.LENGTH, AuthenticationHeader.AROUND);
        List<Sender> opened = new ArrayList<>();
        senders = opened;
        for (InetAddress destination : destinations) {
            Descriptor socket = member.authentication().header()
                    ? ProtocolSocket.packetSender(
                            AuthenticationHeader.PROTOCOL, leaving, own, destination, Takeover.MARK)
                    : ProtocolSocket.sender(AdvertisementCodec.PROTOCOL, leaving, own, destination, Takeover.MARK);
            opened.add(new Sender(destination, socket, wires.sends().stream(socket, most, longest)));
        }
    }

    private void closeSenders() {
        for (Sender sender : senders) {
            sentBefore += sender.stream().sent();
            unsentBefore += sender.stream().failed();
            sender.stream().close();
            sender.socket().close();
        }
        senders = List.of();
        payloads = Map.of();
        current = null;
        takeBack();
    }

    private void takeBack() {
        if (trailer != null) {
            trailer.takeBack(wires.now());
        }
        if (header != null) {
            header.takeBack(wires.now());
        }
    }

    private void lose(String why, long now) {
        if (link == null && why.equals(trouble)) {
            return;
        }
        trouble = why;
        party.fault(this, why, now);
        close();
    }

    private static String reason(Exception e) {
        return e.getMessage() == null ? e.toString() : e.getMessage();
    }

    /** Lets go of the interface. */
    @Override
    public void close() {
        letGo();
        closeSenders();
        if (link != null) {
            wires.ownership().leave(member);
            link = null;
            carrier = null;
            source = null;
        } else if (member.virtualMac()) {
            wires.ownership().abandon(member);
        }
    }

    // ---- What it is to be

    /** Whether {@link #configure} is enough, and the others need not be told that it leaves. */
    boolean canBecome(Membership other) {
        return other.version() == member.version()
                && other.addresses().equals(member.addresses())
                && other.virtualMac() == member.virtualMac();
    }

    void configure(Membership other, long now) {
        if (other.equals(member)) {
            return;
        }
        member = other;
        if (link != null) {
            wires.ownership().configure(member);
        }
        if (member.refused().isEmpty()) {
            authenticate();
        } // else it says farewell with the keys that it had
        Link found = link;
        Link on = carrier;
        InetAddress own = source;
        if (found != null && on != null && own != null) {
            closeSenders();
            try {
                openSenders(found, on, own);
            } catch (IOException e) {
                lose(reason(e), now);
            }
        }
        router.configure(settings(), now);
    }

    private void authenticate() {
        HmacTrailer known = trailer;
        Optional<Authentication.Hmac> hmac = member.authentication().hmac();
        if (known != null && hmac.isPresent()) {
            known.configure(hmac.get());
        } else {
            trailer = hmac.map(HmacTrailer::new).orElse(null);
        }
        if (!member.authentication().header()) {
            header = null;
        } else if (header == null) {
            header = new AuthenticationHeader(member.authentication().password());
        } else {
            header.configure(member.authentication().password());
        }
    }

    private VirtualRouter.Settings settings() {
        return party.bent(member.settings(source == null ? nobody : source));
    }

    /** What its party says is another. */
    void apply(long now) {
        router.configure(settings(), now);
    }

    /** Whether it takes no part any more, and has said so. */
    boolean gone() {
        return router.role() == Role.STOPPED
                && letGo == NEVER
                && senders.stream().allMatch(sender -> sender.stream().pending() == 0);
    }

    String trouble() {
        return trouble;
    }

    /** Whether it is on a network. */
    boolean isConnected() {
        return link != null;
    }

    boolean hears(int index, boolean ipv6, int routerId) {
        return link != null && link.index() == index && member.ipv6() == ipv6 && member.routerId() == routerId;
    }

    // ---- What is heard

    /** @param headed whether an authentication header came before it */
    void heard(ProtocolSocket.Packet packet, boolean headed, long now) {
        if (packet.source().equals(source)) {
            notice("its own address " + Addresses.print(packet.source())
                    + " advertises as well: another machine has it, or the network sends back what it is given");
            return;
        }
        if (!member.peers().isEmpty() && !member.peers().contains(packet.source())) {
            discarded.merge(Discard.NO_PEER, 1L, Long::sum);
            notice(Addresses.print(packet.source()) + " advertises, which is no peer: not listened to");
            return;
        }
        int ttl = member.peers().isEmpty() ? packet.ttl() : -1;
        if (headed != (header != null)) {
            discarded.merge(Discard.AUTHENTICATION_TYPE, 1L, Long::sum);
            notice("what " + Addresses.print(packet.source()) + " advertises is not listened to: it "
                    + (headed
                            ? "has an authentication header (AH), and this node has none"
                            : "has no authentication header (AH), and this node has one")
                    + "; authentication-header must be the same on all nodes");
            return;
        }
        switch (decode(packet, ttl)) {
            case Decoded.Bad bad -> {
                discarded.merge(bad.why(), 1L, Long::sum);
                notice("what " + Addresses.print(packet.source()) + " advertises is not listened to: "
                        + bad.why().text());
            }
            case Decoded.Good good -> heard(good, packet, now);
        }
    }

    private Decoded decode(ProtocolSocket.Packet packet, int ttl) {
        byte[] payload = packet.payload();
        InetAddress from = packet.source();
        if (header != null) {
            Optional<Discard> why = header.judge(packet.header(), payload, from);
            if (why.isPresent()) {
                return new Decoded.Bad(why.get());
            }
            payload = AuthenticationHeader.message(payload);
        }
        int behind = 0;
        HmacTrailer judge = trailer;
        if (judge != null && (ttl == -1 || ttl == AdvertisementCodec.TTL)) {
            // When it arrived: this process may have stood still since.
            long arrived = utc() - Math.max(0, wires.now() - packet.at());
            Optional<Discard> why = judge.judge(payload, from, arrived);
            if (why.isPresent()) {
                return new Decoded.Bad(why.get());
            }
            behind = HmacTrailer.isBehind(payload, from) ? HmacTrailer.LENGTH : 0;
        }
        return AdvertisementCodec.decode(payload, behind, ttl, member.authentication(), from, packet.destination());
    }

    /** Nanoseconds since 1970. */
    private static long utc() {
        Instant now = Instant.now();
        return now.getEpochSecond() * 1_000_000_000 + now.getNano();
    }

    private void heard(Decoded.Good good, ProtocolSocket.Packet packet, long now) {
        Advertisement ad = good.advertisement();
        InetAddress from = packet.source();
        if (ad.version() != member.version()) {
            notice(Addresses.print(from) + " speaks version " + ad.version() + ", this node " + member.version()
                    + ": not listened to");
            return;
        }
        if (isForeign(ad)) {
            notice("VRID clash: " + Addresses.print(from) + " advertises other addresses with the same router-id "
                    + ad.routerId() + " (" + printed(ad.addresses()) + ", priority " + ad.priority()
                    + "): not listened to; give one of the two virtual routers another router-id");
            return;
        }
        compare(good, from);
        RouterStatus.Peer before = peers.get(from);
        if (before != null || peers.size() < PEERS) {
            know(from);
            long count = before == null ? 1 : before.count() + 1;
            peers.put(from, new RouterStatus.Peer(ad.priority(), ad.interval(), Instant.now(), count));
        }
        if (router.role() == Role.BACKUP && router.master().filter(from::equals).isPresent()) {
            jitter.late(packet.at() - masterHeard - ad.interval());
        }
        lastHeard = packet.at();
        party.heard(this, ad, from, packet.at(), now);
        if (router.master().filter(from::equals).isPresent()) {
            masterHeard = packet.at();
        }
    }

    /** A flood of others' advertisements must not push this sender's aside. */
    private void know(InetAddress sender) {
        Ear ear = link == null ? null : wires.ear(link, member);
        try {
            if (ear != null) {
                ear.know(member.routerId(), sender);
            }
        } catch (IOException e) {
            wires.listener()
                    .note(true, member, Addresses.print(sender) + " may be missed in a flood: " + e.getMessage());
        }
    }

    /** What was not listened to, also before it came here. */
    private Map<Discard, Long> discarded() {
        EnumMap<Discard, Long> all = new EnumMap<>(Discard.class);
        all.putAll(discarded);
        Ear ear = link == null ? null : wires.ear(link, member);
        if (ear != null) {
            ear.dropped(member.routerId()).forEach((why, count) -> all.merge(why, count, Long::sum));
        }
        return Map.copyOf(all);
    }

    /**
     * Whether it is for another virtual router, which has none of the addresses: to step back for that one would leave
     * them to nobody. With some of them it is a node whose description is older or newer (RFC 9568 section 7.1 lets both
     * pass, keepalived neither).
     */
    private boolean isForeign(Advertisement ad) {
        return member.addresses().stream().map(Cidr::address).noneMatch(ad.addresses()::contains);
    }

    /** Tells what the nodes of one virtual router should agree about and do not. */
    private void compare(Decoded.Good good, InetAddress from) {
        Advertisement ad = good.advertisement();
        String who = Addresses.print(from);
        List<InetAddress> own = member.addresses().stream().map(Cidr::address).toList();
        if (ad.interval() != member.interval()) {
            notice(who + " advertises every " + ad.interval() / 1_000_000 + " ms, this node every "
                    + member.interval() / 1_000_000 + " ms: "
                    + (ad.version() == 2 ? "not listened to" : "the master's holds"));
        }
        if (!Set.copyOf(ad.addresses()).equals(Set.copyOf(own))) {
            notice(who + " advertises other addresses: " + printed(ad.addresses()) + ", this node has " + printed(own));
        }
        if (ad.version() == 3 && !member.ipv6() && good.checksum() != member.checksum()) {
            notice(who + " has checksums "
                    + (good.checksum() == Checksum.MESSAGE ? "without" : "with")
                    + " the pseudo header, this node the other form: it may not understand this node's");
        }
        if (ad.priority() == Advertisement.OWNER && member.priority() == Advertisement.OWNER) {
            notice(who + " believes to be the addresses' owner as well (priority 255)");
        }
    }

    private static String printed(List<InetAddress> addresses) {
        return String.join(", ", addresses.stream().map(Addresses::print).toList());
    }

    private void notice(String text) {
        if (notices.found(text, wires.now())) {
            wires.listener().note(true, member, text);
        }
    }

    // ---- Time

    /** This process has stood still since then, longer than what was queued for it. */
    void lapsed(long since, long now) {
        long sent = lastQueued;
        if (sent > since) {
            sent -= Math.ceilDiv(sent - since, member.interval()) * member.interval();
        }
        if (elected && now - sent >= router.borne()) {
            wires.wasAway();
            party.lapsed(now);
        }
    }

    /** The latest moment up to which the others have been told that this node is there. */
    long lastQueued() {
        return lastQueued;
    }

    long due() {
        long soon = Math.min(letGo, party.nextWord(this));
        return current == null ? soon : Math.min(soon, next - member.lookAhead() * 3 / 4);
    }

    void tick(long now) {
        if (now >= letGo) {
            release();
        }
        for (String over : notices.over(now, Math.max(FORGETTING * member.interval(), FORGETTING_LEAST))) {
            wires.listener().note(false, member, "no more: " + over);
        }
        if (now >= party.nextWord(this)) {
            wires.ownership().live(); // or the gate lets nothing leave that is said here
            try {
                queue(now, now, encode(nothing()));
            } catch (IOException e) {
                wires.listener().note(true, member, "the others are not told that it has nothing: " + reason(e));
            }
            flush();
            party.said(now, now);
        }
        fill(wires.now());
    }

    private void fill(long now) {
        if (current == null) {
            return;
        }
        // What should have gone while this thread had too much to do would only go all at once, and finds no room.
        next = Math.max(next, now);
        try {
            while (next <= now + member.lookAhead()) {
                queue(next, now, payloads);
                lastQueued = next;
                next += member.interval();
            }
        } catch (IOException e) {
            lose(reason(e), now);
        }
    }

    private void queue(long at, long now, Map<Sender, byte[]> messages) throws IOException {
        HmacTrailer signer = trailer;
        boolean signs = signer != null && signer.signs();
        long sequence = signs && signer != null ? signer.next(at, now, utc() + at - now) : 0;
        AuthenticationHeader before = header;
        if (before != null) {
            sequence = before.next(at, now, (utc() + at - now) / 1_000_000_000);
        }
        for (Map.Entry<Sender, byte[]> each : messages.entrySet()) {
            Sender sender = each.getKey();
            byte[] message = each.getValue();
            if (before != null) {
                message = before.packet(message, sequence, source == null ? nobody : source, sender.destination());
            }
            if (signs && signer != null) {
                message = signer.sign(message, sequence, source == null ? nobody : source, sender.destination());
            }
            sender.stream().add(at, message);
        }
    }

    // ---- What the virtual router wants

    @Override
    public void advertise(Advertisement advertisement) {
        if (advertisement.priority() == Advertisement.LEAVES && !party.surrender(wires.now())) {
            silence();
            return;
        }
        cancel();
        wires.ownership().live();
        payloads = encode(advertisement);
        current = advertisement;
        next = wires.now();
        fill(next);
        flush();
    }

    private Map<Sender, byte[]> encode(Advertisement advertisement) {
        Map<Sender, byte[]> encoded = new LinkedHashMap<>();
        for (Sender sender : senders) {
            encoded.put(
                    sender,
                    AdvertisementCodec.encode(
                            advertisement,
                            member.authentication(),
                            member.checksum(),
                            source == null ? nobody : source,
                            sender.destination()));
        }
        return encoded;
    }

    @Override
    public void farewell(Advertisement advertisement) {
        silence();
        long now = wires.now();
        if (!party.surrender(now)) {
            return; // who hears nothing has to find out by itself: what goes with the addresses is not free
        }
        tell(advertisement, now);
    }

    /** Once; or a few times, where something else depends on that it is heard. */
    private void tell(Advertisement advertisement, long now) {
        long until = party.tells() ? now + AGAIN * (TIMES - 1) : now;
        if (!holds) {
            wires.ownership().live();
        }
        try {
            for (long at = now; at <= until; at += AGAIN) {
                queue(at, now, encode(advertisement));
            }
        } catch (IOException e) {
            wires.listener().note(true, member, "the others are not told that it leaves: " + reason(e));
        }
        flush();
        party.said(until, now);
    }

    private Advertisement nothing() {
        return new Advertisement(
                member.version(),
                member.routerId(),
                Advertisement.LEAVES,
                member.interval(),
                member.addresses().stream().map(Cidr::address).toList());
    }

    @Override
    public void silence() {
        cancel();
        current = null;
        payloads = Map.of();
    }

    private void cancel() {
        try {
            for (Sender sender : senders) {
                sender.stream().cancel();
            }
            takeBack();
        } catch (IOException e) {
            throw new IllegalStateException("queued advertisements cannot be taken back", e);
        }
    }

    private void flush() {
        try {
            wires.sends().flush();
        } catch (IOException e) {
            wires.listener().note(true, member, "advertisements cannot be queued: " + reason(e));
        }
    }

    @Override
    public void acquire() {
        letGo();
        elected = true;
        if (masterHeard != 0 && masterHeard == lastHeard) { // else it is not a silent one that is replaced
            silences.late(wires.now() - masterHeard);
        }
        party.elected(this, wires.now());
        if (!holds) {
            waited = true;
            wires.listener()
                    .note(false, member, "has no addresses yet, waits for: " + String.join("; ", party.waitsFor()));
        }
    }

    /** What the addresses depend on is there, until then. */
    void hold(long until, long now) {
        if (!elected || letGo != NEVER) {
            return;
        }
        if (until != mayHold || !holds) {
            mayHold = until;
            wires.ownership().until(member, until);
        }
        if (holds) {
            return;
        }
        holds = true;
        if (waited) {
            waited = false;
            wires.listener().note(false, member, "has its addresses");
        }
        wires.ownership().acquire(member, now);
        wires.ownership().alone(member, role() == Role.MASTER);
        wires.listener().holding(member, true);
    }

    /** What the addresses depend on is gone; the role may stay. */
    void drop(long now) {
        if (holds) {
            holds = false;
            letGo = NEVER;
            wires.ownership().alone(member, false);
            wires.ownership().release(member, now);
            wires.listener().holding(member, false);
            if (elected) {
                waited = true;
                wires.listener()
                        .note(
                                true,
                                member,
                                "has no addresses any more, waits for: " + String.join("; ", party.waitsFor()));
            }
        }
    }

    @Override
    public void handOver() {
        if (party.tells() && role() == Role.LEAVING) {
            tell(nothing(), wires.now()); // once more, as who has taken over depends on it
        }
        if (!holds) {
            release();
            return;
        }
        letGo = wires.now() + OVERLAP;
        wires.ownership().handOver(member);
    }

    /** Now, if it is about to. */
    void letGo() {
        if (letGo != NEVER) {
            release();
        }
    }

    @Override
    public void release() {
        elected = false;
        letGo = NEVER;
        drop(wires.now());
        party.released(wires.now());
    }

    @Override
    public void contested(InetAddress by) {
        if (holds) {
            wires.ownership().announce(member, wires.now());
        }
    }

    @Override
    public void changed(Role from, Role to, String why) {
        since = Instant.now();
        if (transitions.size() == TRANSITIONS) {
            transitions.removeFirst();
        }
        transitions.add(new RouterStatus.Transition(since, from, to, why));
        party.changed(this, from, to, wires.now());
        wires.ownership().alone(member, holds && to == Role.MASTER);
        wires.listener().changed(member, from, to, router.priority(), why);
    }

    // ---- What is told of it

    RouterStatus status() {
        long sent = sentBefore;
        long unsent = unsentBefore;
        for (Sender sender : senders) {
            sent += sender.stream().sent();
            unsent += sender.stream().failed();
        }
        return new RouterStatus(
                member,
                router.role(),
                since,
                router.why(),
                router.priority(),
                party.manner(),
                elected && letGo == NEVER ? Optional.ofNullable(source) : router.master(),
                Map.copyOf(peers),
                sent,
                unsent,
                discarded(),
                notices.all(),
                List.copyOf(transitions),
                jitter.copy(),
                silences.copy(),
                party.group(),
                member.priority(),
                party.unable(),
                party.standings(),
                party.faults(),
                holds,
                elected ? party.waitsFor() : List.of(),
                link == null ? Optional.empty() : wires.ownership().strays(member));
    }
}
