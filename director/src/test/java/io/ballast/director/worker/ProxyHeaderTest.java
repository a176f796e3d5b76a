package io.ballast.director.worker;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ServiceSpec.ProxyProtocol;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

final class ProxyHeaderTest {
    private static byte[] header(ProxyProtocol version, String client, int clientPort, String local, int localPort) {
        ByteBuffer buffer = ByteBuffer.allocate(200);
        int length = ProxyHeader.write(
                version,
                new InetSocketAddress(InetAddress.ofLiteral(client), clientPort),
                new InetSocketAddress(InetAddress.ofLiteral(local), localPort),
                buffer);
        byte[] bytes = new byte[length];
        buffer.get(bytes);
        return bytes;
    }

    private static String text(String client, String local) {
        return new String(header(ProxyProtocol.V1, client, 65535, local, 443), StandardCharsets.US_ASCII);
    }

    private static String hex(String client, String local) {
        return HexFormat.of().formatHex(header(ProxyProtocol.V2, client, 0x1234, local, 443));
    }

    @Test
    void version1() {
        assertThat(text("192.168.0.1", "192.168.0.11")).isEqualTo("PROXY TCP4 192.168.0.1 192.168.0.11 65535 443\r\n");
        assertThat(text("fd00::1", "2001:db8:0:1:2:3:4:ffff"))
                .isEqualTo("PROXY TCP6 fd00:0:0:0:0:0:0:1 2001:db8:0:1:2:3:4:ffff 65535 443\r\n");
        assertThat(text("10.0.0.1", "fd00::1"))
                .isEqualTo("PROXY TCP6 ::ffff:10.0.0.1 fd00:0:0:0:0:0:0:1 65535 443\r\n");
    }

    @Test
    void version2() {
        String signature = "0d0a0d0a000d0a515549540a";
        assertThat(hex("192.168.0.1", "192.168.0.11"))
                .isEqualTo(signature + "2111000c" + "c0a80001" + "c0a8000b" + "1234" + "01bb");
        assertThat(hex("fd00::1", "fd00::2"))
                .isEqualTo(signature + "21210024" + "fd000000000000000000000000000001"
                        + "fd000000000000000000000000000002" + "1234" + "01bb");
        assertThat(hex("10.0.0.1", "fd00::2"))
                .isEqualTo(signature + "21210024" + "00000000000000000000ffff0a000001"
                        + "fd000000000000000000000000000002" + "1234" + "01bb");
    }
}
