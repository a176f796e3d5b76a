package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class MessageChannelTest {
    @Test
    void listeningSocketArrivesWithItsMessage() throws Exception {
        MessageChannel[] pair = MessageChannel.pair(MessageChannel.DEFAULT_MAX_PAYLOAD);
        try (MessageChannel node = pair[0];
                MessageChannel worker = pair[1];
                Descriptor listening = Sockets.listenTcp(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), Sockets.Options.DEFAULT)) {
            node.send("table".getBytes(StandardCharsets.UTF_8), List.of(listening));
            try (Message message = Objects.requireNonNull(worker.receive())) {
                assertThat(message.text()).isEqualTo("table");
                Descriptor received = message.descriptors().getFirst();
                assertThat(received.fd()).isNotEqualTo(listening.fd());
                assertThat(Sockets.isListening(received)).isTrue();
                assertThat(Sockets.localAddress(received)).isEqualTo(Sockets.localAddress(listening));
            }
        }
    }
}
