package io.ballast.linux.netlink;

import java.net.InetAddress;
import org.jspecify.annotations.Nullable;

/**
 * What the kernel knows about the Ethernet address of a host on the same network: an entry of its ARP (IPv4) or
 * neighbour discovery (IPv6, RFC 4861) table.
 *
 * @param link the interface's number
 * @param address the host's
 * @param state how sure the kernel is
 * @param mac where frames to it go; null when unknown
 * @param managed whether the kernel keeps the entry fresh by itself (NTF_EXT_MANAGED, kernel 5.16)
 */
public record Neighbour(
        int link,
        InetAddress address,
        State state,
        @Nullable MacAddress mac,
        boolean managed) {

    /** NUD_..., RFC 4861 section 7.3.2, which the kernel applies to IPv4 as well. */
    public enum State {
        /** Nothing known, nothing asked. */
        NONE(0),
        /** Asked for the first time; no answer yet. */
        INCOMPLETE(0x01),
        /** Lately confirmed. */
        REACHABLE(0x02),
        /** Known, but not confirmed for a while; still used. */
        STALE(0x04),
        /** In use again: confirmation is awaited for some seconds before asking. */
        DELAY(0x08),
        /** Being asked; still used. */
        PROBE(0x10),
        /** Does not answer. */
        FAILED(0x20),
        /** Needs no resolution on this link. */
        NOARP(0x40),
        /** Set by an administrator; never asked for. */
        PERMANENT(0x80);

        private final int bit;

        State(int bit) {
            this.bit = bit;
        }

        int bit() {
            return bit;
        }

        /** Whether frames are sent by an entry in this state. */
        public boolean isValid() {
            return switch (this) {
                case REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT -> true;
                case NONE, INCOMPLETE, FAILED -> false;
            };
        }

        static @Nullable State of(int bit) {
            for (State state : values()) {
                if (state.bit == bit) {
                    return state;
                }
            }
            return null;
        }
    }
}
