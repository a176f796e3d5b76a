package io.ballast.director.worker;

import io.ballast.core.config.ServiceSpec.ProxyProtocol;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * The PROXY protocol's header, which tells a server whose connection it has. After HAProxy's document
 * {@code proxy-protocol.txt}: section 2.1 for version 1, 2.2 for version 2.
 */
final class ProxyHeader {
    private static final byte[] SIGNATURE = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};
    private static final byte VERSION_2_PROXY = 0x21;
    private static final byte TCP_OVER_IPV4 = 0x11;
    private static final byte TCP_OVER_IPV6 = 0x21;

    private ProxyHeader() {}

    /**
     * Writes the header for the connection at the buffer's start.
     *
     * @return its length; 0 where none is wanted
     */
    static int write(ProxyProtocol version, Connection connection, ByteBuffer target) {
        if (version == ProxyProtocol.OFF) {
            return 0;
        }
        InetSocketAddress client = new InetSocketAddress(
                Addresses.address(connection.flow.sourceHigh(), connection.flow.sourceLow()),
                connection.flow.sourcePort());
        return write(version, client, connection.localAddress(), target);
    }

    static int write(
            ProxyProtocol version, InetSocketAddress client, InetSocketAddress destination, ByteBuffer target) {
        target.clear();
        byte[] source = client.getAddress().getAddress();
        byte[] local = destination.getAddress().getAddress();
        boolean ipv6 = source.length == 16 || local.length == 16;
        switch (version) {
            case OFF -> {}
            case V1 -> {
                String text = "PROXY " + (ipv6 ? "TCP6 " : "TCP4 ") + text(source, ipv6) + " " + text(local, ipv6) + " "
                        + client.getPort() + " " + destination.getPort() + "\r\n";
                target.put(text.getBytes(StandardCharsets.US_ASCII));
            }
            case V2 -> {
                target.put(SIGNATURE)
                        .put(VERSION_2_PROXY)
                        .put(ipv6 ? TCP_OVER_IPV6 : TCP_OVER_IPV4)
                        .putShort((short) (ipv6 ? 36 : 12));
                put(target, source, ipv6);
                put(target, local, ipv6);
                target.putShort((short) client.getPort()).putShort((short) destination.getPort());
            }
        }
        int length = target.position();
        target.clear();
        return length;
    }

    /** Both addresses have to be of one family, so where one is IPv6 the other is given as mapped into it. */
    private static void put(ByteBuffer target, byte[] address, boolean ipv6) {
        if (ipv6 && address.length == 4) {
            target.putLong(0).putShort((short) 0).putShort((short) 0xffff);
        }
        target.put(address);
    }

    private static String text(byte[] address, boolean ipv6) {
        if (!ipv6) {
            return (address[0] & 0xff) + "." + (address[1] & 0xff) + "." + (address[2] & 0xff) + "."
                    + (address[3] & 0xff);
        }
        if (address.length == 4) {
            return "::ffff:" + text(address, false);
        }
        StringBuilder text = new StringBuilder(39);
        for (int i = 0; i < 16; i += 2) {
            text.append(i == 0 ? "" : ":")
                    .append(Integer.toHexString((address[i] & 0xff) << 8 | (address[i + 1] & 0xff)));
        }
        return text.toString();
    }
}
