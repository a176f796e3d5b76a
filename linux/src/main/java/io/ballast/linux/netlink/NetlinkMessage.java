package io.ballast.linux.netlink;

import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The format of netlink messages, in both directions and nothing else (linux/netlink.h). A message is a header of
 * sixteen bytes, a header of the family's own, and attributes: length, type, value, each padded to four bytes, whose
 * value may again be attributes. Everything is in the byte order of the machine.
 *
 * <p>Reading trusts no length: what does not fit ends in a {@link MalformedMessageException}, never in an exception of
 * the buffer's.
 *
 * @param type what it asks or tells: RTM_NEWLINK, ...
 * @param flags NLM_F_...
 * @param sequence of the request that it answers; 0 for what was not asked for
 * @param body all behind the header, from position 0
 */
record NetlinkMessage(int type, int flags, int sequence, ByteBuffer body) {
    static final int NLMSG_NOOP = 1;
    static final int NLMSG_ERROR = 2;
    static final int NLMSG_DONE = 3;
    static final int NLMSG_OVERRUN = 4;

    static final int NLM_F_REQUEST = 0x1;
    static final int NLM_F_ACK = 0x4;
    static final int NLM_F_DUMP_INTR = 0x10;
    static final int NLM_F_DUMP = 0x300;
    static final int NLM_F_REPLACE = 0x100;
    static final int NLM_F_EXCL = 0x200;
    static final int NLM_F_CREATE = 0x400;
    static final int NLM_F_CAPPED = 0x100;
    static final int NLM_F_ACK_TLVS = 0x200;

    private static final int NLMSGERR_ATTR_MSG = 1;

    private static final int HEADER = 16;

    static int align(int length) {
        return (length + 3) & ~3;
    }

    /** The messages of one datagram. */
    static List<NetlinkMessage> split(ByteBuffer datagram) throws MalformedMessageException {
        List<NetlinkMessage> messages = new ArrayList<>(1);
        int at = datagram.position();
        int end = datagram.limit();
        while (at < end) {
            if (end - at < HEADER) {
                throw new MalformedMessageException((end - at) + " bytes where a header should be");
            }
            int length = datagram.getInt(at);
            if (length < HEADER || length > end - at) {
                throw new MalformedMessageException("length " + length + " where " + (end - at) + " bytes are");
            }
            messages.add(new NetlinkMessage(
                    Short.toUnsignedInt(datagram.getShort(at + 4)),
                    Short.toUnsignedInt(datagram.getShort(at + 6)),
                    datagram.getInt(at + 8),
                    slice(datagram, at + HEADER, length - HEADER)));
            // The last one need not be padded.
            at = Math.min(end, at + align(length));
        }
        return messages;
    }

    private static ByteBuffer slice(ByteBuffer buffer, int from, int length) {
        return buffer.slice(from, length).order(buffer.order());
    }

    boolean has(int flag) {
        return (flags & flag) != 0;
    }

    /** The family's own header, which is at least so long. */
    ByteBuffer header(int length) throws MalformedMessageException {
        if (body.limit() < length) {
            throw new MalformedMessageException(
                    "type " + type + " with " + body.limit() + " bytes, shorter than its header of " + length);
        }
        return body;
    }

    /** The attributes behind the family's own header. */
    Attributes attributes(int headerLength) throws MalformedMessageException {
        header(headerLength);
        int from = Math.min(body.limit(), align(headerLength));
        return Attributes.parse(slice(body, from, body.limit() - from));
    }

    /** The result that NLMSG_ERROR or NLMSG_DONE carries: 0, or a negative error number. */
    int result() throws MalformedMessageException {
        if (type == NLMSG_DONE && body.limit() < 4) {
            return 0; // generic netlink of old kernels ends a dump without a result
        }
        return header(4).getInt(0);
    }

    /** What the kernel says in words about an error (NETLINK_EXT_ACK), or null. */
    @Nullable
    String explanation() throws MalformedMessageException {
        if (!has(NLM_F_ACK_TLVS)) {
            return null;
        }
        int from = 4;
        if (type == NLMSG_ERROR) {
            // The request follows, whole or only its header.
            int request = header(4 + HEADER).getInt(4);
            if (request < HEADER) {
                throw new MalformedMessageException("an error about a request of " + request + " bytes");
            }
            from += has(NLM_F_CAPPED) ? HEADER : align(Math.min(request, body.limit()));
        }
        if (from > body.limit()) {
            throw new MalformedMessageException("an error whose explanation lies behind its end");
        }
        return Attributes.parse(slice(body, from, body.limit() - from)).text(NLMSGERR_ATTR_MSG);
    }

    /** The attributes of a message or inside another attribute; of a type that occurs twice, the last. */
    static final class Attributes {
        /** Above it NLA_F_NESTED and NLA_F_NET_BYTEORDER, which repeat what the type already says. */
        private static final int TYPE_MASK = 0x3fff;

        private static final int HEADER = 4;

        private final ByteBuffer[] values;

        private Attributes(ByteBuffer[] values) {
            this.values = values;
        }

        static Attributes parse(ByteBuffer bytes) throws MalformedMessageException {
            ByteBuffer[] values = new ByteBuffer[16];
            int at = bytes.position();
            int end = bytes.limit();
            while (at < end) {
                if (end - at < HEADER) {
                    // Padding that is shorter than an attribute's header; the kernel ignores it likewise.
                    break;
                }
                int length = Short.toUnsignedInt(bytes.getShort(at));
                if (length < HEADER || length > end - at) {
                    throw new MalformedMessageException(
                            "an attribute of length " + length + " where " + (end - at) + " bytes are");
                }
                int type = Short.toUnsignedInt(bytes.getShort(at + 2)) & TYPE_MASK;
                if (type < 256) {
                    if (type >= values.length) {
                        values = Arrays.copyOf(values, Math.max(2 * values.length, type + 1));
                    }
                    values[type] = slice(bytes, at + HEADER, length - HEADER);
                }
                at = Math.min(end, at + align(length));
            }
            return new Attributes(values);
        }

        /** The value, from position 0, or null where there is none. */
        @Nullable
        ByteBuffer value(int type) {
            return type < values.length ? values[type] : null;
        }

        boolean has(int type) {
            return value(type) != null;
        }

        private @Nullable ByteBuffer value(int type, int size) throws MalformedMessageException {
            ByteBuffer value = value(type);
            if (value != null && value.limit() < size) {
                throw new MalformedMessageException(
                        "attribute " + type + " has " + value.limit() + " bytes, not " + size);
            }
            return value;
        }

        int u8(int type, int otherwise) throws MalformedMessageException {
            ByteBuffer value = value(type, 1);
            return value == null ? otherwise : Byte.toUnsignedInt(value.get(0));
        }

        /** A number of four bytes, as Java's signed one. */
        int i32(int type, int otherwise) throws MalformedMessageException {
            ByteBuffer value = value(type, 4);
            return value == null ? otherwise : value.getInt(0);
        }

        /** Text up to the first NUL, or null. */
        @Nullable
        String text(int type) {
            ByteBuffer value = value(type);
            if (value == null) {
                return null;
            }
            byte[] bytes = bytes(value);
            int length = 0;
            while (length < bytes.length && bytes[length] != 0) {
                length++;
            }
            return new String(bytes, 0, length, StandardCharsets.UTF_8);
        }

        /** An address of four or sixteen bytes, or null. */
        @Nullable
        InetAddress address(int type) throws MalformedMessageException {
            ByteBuffer value = value(type);
            return value == null ? null : Ip.of(bytes(value));
        }

        /** A link-layer address of six bytes; null where there is none or it has another length. */
        @Nullable
        MacAddress mac(int type) {
            ByteBuffer value = value(type);
            return value == null || value.limit() != MacAddress.LENGTH ? null : MacAddress.of(bytes(value));
        }

        /** The attributes inside an attribute; empty where it is missing. */
        Attributes nested(int type) throws MalformedMessageException {
            ByteBuffer value = value(type);
            return value == null ? new Attributes(new ByteBuffer[0]) : parse(value);
        }

        private static byte[] bytes(ByteBuffer value) {
            byte[] bytes = new byte[value.limit()];
            value.get(0, bytes);
            return bytes;
        }
    }

    /** Makes a request: first the family's own header field by field, then attributes. */
    static final class Writer {
        private ByteBuffer buffer = ByteBuffer.allocate(256).order(ByteOrder.nativeOrder());

        Writer(int type, int flags) {
            buffer.putInt(0);
            buffer.putShort((short) type);
            buffer.putShort((short) (flags | NLM_F_REQUEST));
            buffer.putInt(0);
            buffer.putInt(0);
        }

        private ByteBuffer room(int length) {
            if (buffer.remaining() < length) {
                int capacity = Math.max(2 * buffer.capacity(), buffer.position() + length);
                buffer = ByteBuffer.allocate(capacity).order(buffer.order()).put(buffer.flip());
            }
            return buffer;
        }

        /** Adds flags to those given at first. */
        Writer flag(int more) {
            buffer.putShort(6, (short) (buffer.getShort(6) | more));
            return this;
        }

        Writer u8(int value) {
            room(1).put((byte) value);
            return this;
        }

        Writer u16(int value) {
            room(2).putShort((short) value);
            return this;
        }

        Writer i32(int value) {
            room(4).putInt(value);
            return this;
        }

        Writer attribute(int type, byte[] value) {
            int length = 4 + value.length;
            room(align(length));
            buffer.putShort((short) length).putShort((short) type).put(value);
            return pad();
        }

        private Writer pad() {
            while ((buffer.position() & 3) != 0) {
                room(1).put((byte) 0);
            }
            return this;
        }

        Writer attribute(int type, InetAddress address) {
            return attribute(type, address.getAddress());
        }

        Writer attributeU8(int type, int value) {
            return attribute(type, new byte[] {(byte) value});
        }

        Writer attributeI32(int type, int value) {
            room(8).putShort((short) 8).putShort((short) type).putInt(value);
            return this;
        }

        /** Text with its closing NUL. */
        Writer attribute(int type, String text) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            return attribute(type, Arrays.copyOf(bytes, bytes.length + 1));
        }

        /** Begins an attribute whose value follows; {@link #end} takes what this returns. */
        int begin(int type) {
            int at = buffer.position();
            room(4).putShort((short) 0).putShort((short) type);
            return at;
        }

        Writer end(int at) {
            buffer.putShort(at, (short) (buffer.position() - at));
            return pad();
        }

        /** The whole message. */
        byte[] finish(int sequence) {
            buffer.putInt(0, buffer.position());
            buffer.putInt(8, sequence);
            return Arrays.copyOf(buffer.array(), buffer.position());
        }
    }
}
