package io.ballast.takeover.wire;

import io.ballast.linux.Descriptor;
import io.ballast.linux.ProtocolSocket;
import io.ballast.takeover.lease.Sieve;
import io.ballast.takeover.vrrp.AdvertisementCodec;
import io.ballast.takeover.vrrp.AuthenticationHeader;
import io.ballast.takeover.vrrp.Discard;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.Collection;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Hears the advertisements of one interface, and one family, through a {@link Sieve}. What has an authentication header comes
 * without: what stands behind that is not looked for in the kernel.
 */
final class Ear implements AutoCloseable {
    private final ProtocolSocket socket;
    private final @Nullable Sieve sieve;
    private final String trouble;

    private Ear(ProtocolSocket socket, @Nullable Sieve sieve, String trouble) {
        this.socket = socket;
        this.sieve = sieve;
        this.trouble = trouble;
    }

    /**
     * Begins to hear; what is not admitted is not heard.
     *
     * @param protocol that of VRRP, or of authentication headers
     */
    static Ear open(int protocol, ProtocolSocket.Interface on, InetAddress group) throws IOException {
        ProtocolSocket socket =
                ProtocolSocket.open(protocol, on, group, AuthenticationHeader.LENGTH + AdvertisementCodec.LONGEST);
        if (protocol != AdvertisementCodec.PROTOCOL) {
            return new Ear(socket, null, "");
        }
        Sieve sieve = null;
        try {
            sieve = Sieve.load(group instanceof Inet6Address);
            socket.filter(sieve.fd());
            return new Ear(socket, sieve, "");
        } catch (IOException e) {
            if (sieve != null) {
                sieve.close();
            }
            return new Ear(socket, null, String.valueOf(e.getMessage()));
        }
    }

    /** Why it hears everything, also in a flood; empty where it does not. */
    String trouble() {
        return trouble;
    }

    /** What {@link io.ballast.linux.PollSet} waits for. */
    Descriptor descriptor() {
        return socket.descriptor();
    }

    /** As {@link ProtocolSocket#receive}. */
    ProtocolSocket.@Nullable Packet receive() throws IOException {
        return socket.receive();
    }

    /** Hears what is for these from now on, and for no others. */
    void admit(Collection<Membership> members) throws IOException {
        if (sieve != null) {
            sieve.admit(members.stream()
                    .map(member -> new Sieve.Router(member.routerId(), member.peers(), member.authentication()))
                    .toList());
        }
    }

    /** One who has been understood. */
    void know(int routerId, InetAddress sender) throws IOException {
        if (sieve != null) {
            sieve.know(routerId, sender);
        }
    }

    /** What was not even looked at. */
    Map<Discard, Long> dropped(int routerId) {
        return sieve == null ? Map.of() : sieve.dropped(routerId);
    }

    @Override
    public void close() {
        socket.close();
        if (sieve != null) {
            sieve.close();
        }
    }
}
