package io.ballast.linux.netlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.netlink.NetlinkMessage.Attributes;
import io.ballast.linux.netlink.NetlinkMessage.Writer;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;

class NetlinkMessageTest {
    /** As dumps print them: blanks between bytes are ignored. */
    static ByteBuffer bytes(String hex) {
        return ByteBuffer.wrap(HexFormat.of().parseHex(hex.replaceAll("\\s", "")))
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    private static String hex(String spaced) {
        return spaced.replaceAll("\\s", "");
    }

    @Test
    void requestHasHeaderFamilyHeaderAndPaddedAttributes() {
        Writer writer = new Writer(0x1234, 0x0400).u8(1).u8(2).u16(3).i32(-1);
        writer.attribute(5, new byte[] {9})
                .attributeU8(6, 7)
                .attributeI32(7, 1400)
                .attribute(8, "eth0")
                .attribute(9, InetAddress.ofLiteral("192.0.2.1"));
        int outer = writer.begin(10);
        int inner = writer.begin(11);
        writer.u16(0xabcd).end(inner).end(outer);
        assertThat(hex(writer.flag(0x4).finish(0x01020304))).isEqualTo(hex("""
                                50000000 3412 0504 04030201 00000000
                                01 02 0300 ffffffff
                                0500 0500 09 000000
                                0500 0600 07 000000
                                0800 0700 78050000
                                0900 0800 65746830 00 000000
                                0800 0900 c0000201
                                0c00 0a00 0600 0b00 cdab 0000
                                """));
    }

    @Test
    void largeRequestGrows() throws Exception {
        Writer writer = new Writer(1, 0);
        byte[] value = new byte[1000];
        for (int i = 1; i <= 20; i++) {
            writer.attribute(i, value);
        }
        List<NetlinkMessage> messages =
                NetlinkMessage.split(ByteBuffer.wrap(writer.finish(1)).order(ByteOrder.nativeOrder()));
        Attributes attributes = messages.getFirst().attributes(0);
        for (int i = 1; i <= 20; i++) {
            ByteBuffer read = attributes.value(i);
            assertThat(read).isNotNull();
            assertThat(read.limit()).isEqualTo(1000);
        }
    }

    @Test
    void datagramIsSplitIntoItsMessages() throws Exception {
        // Two acknowledgements; the second is not padded.
        ByteBuffer datagram = bytes("""
                11000000 0300 0200 07000000 00000000 aa 000000
                12000000 1000 0000 08000000 63000000 bbcc
                """);
        List<NetlinkMessage> messages = NetlinkMessage.split(datagram);
        assertThat(messages).extracting(NetlinkMessage::type).containsExactly(3, 16);
        assertThat(messages).extracting(NetlinkMessage::flags).containsExactly(2, 0);
        assertThat(messages).extracting(NetlinkMessage::sequence).containsExactly(7, 8);
        assertThat(messages.get(1).body().remaining()).isEqualTo(2);
        assertThat(messages.get(1).body().getShort(0)).isEqualTo((short) 0xccbb);
    }

    @Test
    void lengthsThatDoNotFitAreRefused() {
        for (String datagram : List.of(
                "0f000000 0300 0000 00000000 00000000", // shorter than a header
                "11000000 0300 0000 00000000 00000000", // longer than the datagram
                "ffffffff 0300 0000 00000000 00000000",
                "10000000 0300", // half a header
                "10000000 0300 0000 00000000 00000000 1000")) {
            assertThatThrownBy(() -> NetlinkMessage.split(bytes(datagram)))
                    .describedAs(datagram)
                    .isInstanceOf(MalformedMessageException.class);
        }
        for (String attribute : List.of("03000100", "05000100", "ffff0100 00000000", "0800 0100 00000000 0900 0200")) {
            assertThatThrownBy(() -> Attributes.parse(bytes(attribute)))
                    .describedAs(attribute)
                    .isInstanceOf(MalformedMessageException.class);
        }
    }

    @Test
    void attributesAreReadByType() throws Exception {
        Attributes attributes = Attributes.parse(bytes("""
                0500 0100 ff 000000
                0800 0240 01000000
                0800 0300 c0000202
                0600 0400 6162 0000
                0700 0500 626300 00
                0a00 0600 020000000001 0000
                0c00 0780 0800 0100 2a000000
                0800 0100 07000000
                0800 ff3f 01000000
                """));
        assertThat(attributes.u8(1, 0)).describedAs("the last of a type").isEqualTo(7);
        assertThat(attributes.i32(2, 0)).describedAs("flags above the type").isEqualTo(1);
        assertThat(attributes.address(3)).isEqualTo(InetAddress.ofLiteral("192.0.2.2"));
        assertThat(attributes.text(4)).describedAs("without NUL").isEqualTo("ab");
        assertThat(attributes.text(5)).isEqualTo("bc");
        assertThat(attributes.mac(6)).isEqualTo(MacAddress.parse("02:00:00:00:00:01"));
        assertThat(attributes.nested(7).i32(1, 0)).isEqualTo(42);
        assertThat(attributes.has(8)).isFalse();
        assertThat(attributes.i32(8, 99)).isEqualTo(99);
        assertThat(attributes.address(99)).isNull();
        assertThat(attributes.nested(99).has(1)).isFalse();
        assertThat(attributes.mac(3)).describedAs("not six bytes").isNull();
        assertThatThrownBy(() -> attributes.i32(4, 0))
                .hasMessage("malformed netlink message: attribute 4 has 2 bytes, not 4");
        assertThatThrownBy(() -> attributes.address(4)).hasMessage("malformed netlink message: an address of 2 bytes");
    }

    @Test
    void mappedAddressStaysOfItsFamily() throws Exception {
        InetAddress address = Attributes.parse(bytes("1400 0100 0000000000000000 0000ffff c0000201"))
                .address(1);
        assertThat(address).isInstanceOf(Inet6Address.class);
    }

    /** Captured from the kernel as the answer to {@code ip route add} through an unreachable gateway. */
    @Test
    void errorIsReadWithTheKernelsWords() throws Exception {
        NetlinkMessage capped = NetlinkMessage.split(bytes("""
                        48000000 0200 0003 63830169 00000000
                        9affffff
                        24000000 1800 0506 63830169 00000000
                        2200 0100 4e657874686f702068617320696e76616c69642067617465776179 00 0000 0000
                        """)).getFirst();
        assertThat(capped.result()).isEqualTo(-102);
        assertThat(capped.explanation()).isEqualTo("Nexthop has invalid gateway");
        NetlinkMessage whole = NetlinkMessage.split(bytes("""
                        34000000 0200 0002 63830169 00000000
                        eaffffff
                        14000000 1800 0506 63830169 00000000 01020304
                        0900 0100 776f7264 00 000000
                        """)).getFirst();
        assertThat(whole.result()).isEqualTo(-22);
        assertThat(whole.explanation()).isEqualTo("word");
        NetlinkMessage silent = NetlinkMessage.split(
                        bytes("24000000 0200 0001 63830169 00000000 00000000 24000000 1800 0506 63830169 00000000"))
                .getFirst();
        assertThat(silent.result()).isZero();
        assertThat(silent.explanation()).isNull();
    }

    @Test
    void errorWithWrongLengthsIsRefused() throws Exception {
        NetlinkMessage beyond = NetlinkMessage.split(bytes("""
                        24000000 0200 0002 00000000 00000000
                        eaffffff
                        00010000 1800 0506 63830169 00000000
                        """)).getFirst();
        assertThatThrownBy(beyond::explanation).isInstanceOf(MalformedMessageException.class);
        NetlinkMessage negative = NetlinkMessage.split(bytes("""
                        24000000 0200 0002 00000000 00000000
                        eaffffff
                        fcffffff 1800 0506 63830169 00000000
                        """)).getFirst();
        assertThatThrownBy(negative::explanation).isInstanceOf(MalformedMessageException.class);
        NetlinkMessage empty = NetlinkMessage.split(bytes("10000000 0200 0002 00000000 00000000"))
                .getFirst();
        assertThatThrownBy(empty::result).isInstanceOf(MalformedMessageException.class);
    }

    @Test
    void macAddressIsTextBytesAndNumber() {
        MacAddress mac = MacAddress.parse("02:00:5e:10:00:ff");
        assertThat(mac.bits()).isEqualTo(0x02005e1000ffL);
        assertThat(mac.bytes()).containsExactly(2, 0, 0x5e, 0x10, 0, 0xff);
        assertThat(MacAddress.of(mac.bytes())).isEqualTo(mac).hasToString("02:00:5e:10:00:ff");
        for (String wrong :
                List.of("", "02:00:5e:10:00", "02:00:5e:10:00:ff:01", "02-00-5e-10-00-ff", "zz:00:5e:10:00:ff")) {
            assertThatThrownBy(() -> MacAddress.parse(wrong)).hasMessage("not an Ethernet address: " + wrong);
        }
    }

    @Test
    void prefixContainsItsAddresses() {
        Prefix prefix = new Prefix(InetAddress.ofLiteral("192.0.2.128"), 25);
        assertThat(prefix).hasToString("192.0.2.128/25");
        assertThat(prefix.contains(InetAddress.ofLiteral("192.0.2.129"))).isTrue();
        assertThat(prefix.contains(InetAddress.ofLiteral("192.0.2.127"))).isFalse();
        assertThat(prefix.contains(InetAddress.ofLiteral("2001:db8::1"))).isFalse();
        assertThat(new Prefix(InetAddress.ofLiteral("0.0.0.0"), 0).contains(InetAddress.ofLiteral("203.0.113.9")))
                .isTrue();
        Prefix six = new Prefix(InetAddress.ofLiteral("2001:db8:8000::"), 33);
        assertThat(six.contains(InetAddress.ofLiteral("2001:db8:ffff::1"))).isTrue();
        assertThat(six.contains(InetAddress.ofLiteral("2001:db8:7fff::1"))).isFalse();
        assertThat(Prefix.host(InetAddress.ofLiteral("2001:db8::1"))).hasToString("2001:db8::1/128");
        assertThatThrownBy(() -> new Prefix(InetAddress.ofLiteral("192.0.2.1"), 33))
                .hasMessage("/33 behind 192.0.2.1");
    }
}
