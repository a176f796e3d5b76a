package io.ballast.director.xdp;

import java.nio.ByteOrder;

/**
 * Sizes and offsets of {@code src/main/bpf/layout.h}, in bytes: a change here must be made there as well.
 */
final class Layout {
    static final int LINE = 16;
    static final int LINE_BYTES = LINE * 4;
    static final int NO_SERVER = 0x7fff;
    static final int SLOT_DOUBTFUL = 0x8000;
    static final int NOBODY = 0xffff_ffff;

    static final int VIP = 40;
    static final int VIP_ID = 0;
    static final int VIP_SERVICE = 4;
    static final int VIP_SERVERS = 8;
    static final int VIP_SLOTS = 12;
    static final int VIP_SLOT_COUNT = 16;
    static final int VIP_FLAGS = 20;
    static final int VIP_SCHEDULER = 22;
    static final int VIP_SLOT_BITS = 23;
    static final int VIP_OPEN_TICKS = 24;
    static final int VIP_IDLE_TICKS = 28;
    static final int VIP_CLOSING_TICKS = 32;
    static final int VIP_FIRST_PORT = 36;
    static final int VIP_LAST_PORT = 38;

    /** How many ranges of ports there can be of one address and protocol, numbered from 1. */
    static final int RANGES = 8;

    static final int FLAG_HASH_PORT = 1;
    static final int FLAG_LOOKUP = 2;
    static final int FLAG_REMEMBER = 4;
    static final int FLAG_NAT = 8;
    static final int FLAG_FULL_NAT = 0x10;
    static final int FLAG_PERSIST = 0x20;
    static final int FLAG_QUIC = 0x40;
    static final int FLAG_LIMIT = 0x80;
    static final int FLAG_COOKIES = 0x100;
    static final int FLAG_TRACE = 0x200;

    /** Full NAT: ports of the director, by which a port of a server knows its clients. */
    static final int NAT_PORTS = 31_744;

    static final int SERVER = 128;
    static final int SERVER_TO = 0;
    static final int SERVER_FROM = 6;
    static final int SERVER_FLAGS = 12;
    static final int SERVER_INTERFACE = 16;
    static final int SERVER_MTU = 20;
    static final int SERVER_ADDRESS = 24;
    static final int SERVER_SOURCE = 28;
    static final int SERVER_HEADER_SUM = 32;
    static final int SERVER_SERVICE = 36;
    static final int SERVER_PORT = 40;
    static final int SERVER_MEMBER = 42;
    static final int SERVER_ADDRESS6 = 64;
    static final int SERVER_SOURCE6 = 80;

    static final int READY = 0x01;
    static final int NEW = 0x02;
    static final int TUNNEL4 = 0x04;
    static final int TUNNEL6 = 0x08;
    static final int GUE = 0x10;
    static final int DOWN = 0x20;
    static final int NAT = 0x40;
    static final int FULL_NAT = 0x80;
    static final int TRACED = 0x100;

    static final int LOAD = 24;
    static final int LOAD_ACTIVE = 0;
    static final int LOAD_INACTIVE = 4;
    static final int LOAD_WEIGHT = 8;
    static final int LOAD_LIMIT = 12;
    static final int LOAD_TURN = 16;

    static final int SERVICE = 64;
    static final int SERVICE_GIVEN = 0;
    static final int SERVICE_LAST = 8;
    static final int SERVICE_SERVERS = 16;
    static final int SERVICE_TREE = 20;
    static final int SERVICE_LEAVES = 24;
    static final int SERVICE_SCHEDULER = 28;
    static final int SERVICE_PERSIST_TICKS = 32;
    static final int SERVICE_PERSIST_MASK4 = 36;
    static final int SERVICE_PERSIST_MASK6 = 37;
    static final int SERVICE_QUIC = 38;
    static final int QUIC_NONCE_SHIFT = 3;
    static final int AES_KEY = 176;

    static final int QUIC_KEY = 20;
    static final int QUIC_KEY_SERVICE = 0;
    static final int QUIC_KEY_ID = 4;
    static final int QUIC_KEY_FORM = 19;
    static final int SERVICE_NEW_INTERVAL = 40;
    static final int SERVICE_SOURCE_INTERVAL = 44;

    static final int SERVICE_COOKIES = 60;

    /** Bytes that say in which buckets something has changed that other directors have to know. */
    static final int TOUCHED = 65_536;

    static final int TRAFFIC = 40;

    static final int TRACE_TIME = 0;
    static final int TRACE_SOURCE = 8;
    static final int TRACE_DESTINATION = 24;
    static final int TRACE_OUT_SOURCE = 40;
    static final int TRACE_OUT_DESTINATION = 56;
    static final int TRACE_INTERFACE = 72;
    static final int TRACE_LENGTH = 76;
    static final int TRACE_SERVER = 80;
    static final int TRACE_VERDICT = 84;
    static final int TRACE_REASON = 88;
    static final int TRACE_SOURCE_PORT = 92;
    static final int TRACE_PORT = 94;
    static final int TRACE_OUT_SOURCE_PORT = 96;
    static final int TRACE_OUT_PORT = 98;
    static final int TRACE_PROTO = 100;
    static final int TRACE_DOES = 101;
    static final int TRACE_HOW = 102;
    static final int TRACE_WHAT = 103;

    static final int TRACING_SEEN = 0;
    static final int TRACING_LOST = 8;
    static final int TRACING_EVERY = 16;
    static final int TRACING_LEFT = 20;

    static final int WAYS = 8;
    static final int FLOW = 40;
    static final int FLOW_VIP = 16;
    static final int FLOW_CLIENT_PORT = 20;
    static final int FLOW_PORT = 22;
    static final int FLOW_SERVER = 24;
    static final int FLOW_EXPIRES = 28;
    static final int FLOW_STATE = 32;
    static final int FLOW_PROTO = 33;
    static final int FLOW_NAT_PORT = 34;
    static final int FLOW_CLAIM = 36;
    static final int BUCKET_FLOWS = WAYS * 4;
    static final int BUCKET = BUCKET_FLOWS + WAYS * FLOW;

    /** So long a SYN cookie is good at most: in its interval and the next (cookies.h). */
    static final long COOKIE_NANOS = 2L << 36;

    /** Full NAT: the first of the director's ports (maps.h). */
    static final int NAT_FIRST_PORT = 1024;

    static final int WAY_BACK = 64;
    static final int WAY_BACK_TO = 16;
    static final int WAY_BACK_FROM = 22;
    static final int WAY_BACK_INTERFACE = 28;
    static final int WAY_BACK_TAGS = 32;
    static final int WAY_BACK_HEADER = 40;
    static final int WAY_BACK_MTU = 42;
    static final int WAY_BACK_SEQUENCE = 44;
    static final int WAY_BACK_OPEN_TICKS = 48;
    static final int WAY_BACK_IDLE_TICKS = 52;
    static final int WAY_BACK_CLOSING_TICKS = 56;
    static final int WAY_BACK_PERSISTS = 60;
    static final int WAY_BACK_COOKIE = 41;

    static final int OPENING = 1;
    static final int ESTABLISHED = 2;
    static final int CLOSING = 3;
    static final int TEMPLATE = 4;
    /** It came by a SYN cookie, and its server has not answered. */
    static final int COOKIE = 5;

    static final int KILLED = 6;
    static final int TEMPLATE_OPENING = 7;
    /** In a template, the endpoint's id is the number of the service and this. */
    static final int TEMPLATE_OF = 0x8000_0000;

    static final int ORIGIN = 24;
    static final int ORIGIN_LAYOUT = 0;
    static final int ORIGIN_PROGRAM = 8;
    static final int ORIGIN_FLOW_SEED = 16;

    static final int NAME = 64;

    static final int SERVICE_NOTE = 104;
    static final int SERVICE_NOTE_USED = 0;
    static final int SERVICE_NOTE_SCHEDULER = 4;
    static final int SERVICE_NOTE_SERVERS = 8;
    static final int SERVICE_NOTE_CAPACITY = 12;
    static final int SERVICE_NOTE_SLOTS = 16;
    static final int SERVICE_NOTE_SLOT_COUNT = 20;
    static final int SERVICE_NOTE_TREE = 24;
    static final int SERVICE_NOTE_CHANGED = 32;
    static final int SERVICE_NOTE_NAME = 40;

    static final int SERVER_NOTE = 104;
    static final int SERVER_NOTE_SERVICE = 0;
    static final int SERVER_NOTE_LAST_WEIGHT = 4;
    static final int SERVER_NOTE_CUT_AT = 8;
    static final int SERVER_NOTE_ADDRESS = 16;
    static final int SERVER_NOTE_PORT = 32;
    static final int SERVER_NOTE_FLAGS = 34;
    static final int SERVER_NOTE_NAME = 40;

    static final int SERVER_GONE = 1;
    static final int SERVER_CUT = 2;
    static final int SERVER_IPV6 = 4;

    static final int TICK_SHIFT = 27;
    /** flows.h: so long after a connection has expired no processor can take it for alive. */
    static final int SETTLED_TICKS = 8;

    /** The state in a word of a flow that is changed as a whole. */
    static int stateOf(int word) {
        return (ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? word : word >>> 24) & 0xff;
    }

    /** The word with another state in it. */
    static int withState(int word, int state) {
        int shift = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? 0 : 24;
        return (word & ~(0xff << shift)) | (state << shift);
    }

    /** Whether it is the state of a connection, and so counts in a server's load. */
    static boolean isConnection(int state) {
        return (state >= OPENING && state <= CLOSING) || state == COOKIE;
    }

    private Layout() {}
}
