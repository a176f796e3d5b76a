package io.ballast.lab.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class HttpAnswerTest {

    private static HttpAnswer read(String text) throws IOException {
        return HttpAnswer.read(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void readsABodyWithALength() throws IOException {
        HttpAnswer answer = read("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nwww1: Test Page");
        assertThat(answer).isEqualTo(new HttpAnswer(200, "www1: Test Page", true));
        assertThat(answer.server()).isEqualTo("www1");
    }

    @Test
    void readsABodyThatEndsWithTheConnection() throws IOException {
        assertThat(read("HTTP/1.0 503 Busy\r\n\r\nsorry: later")).isEqualTo(new HttpAnswer(503, "sorry: later", false));
    }

    @Test
    void aClosingServerIsTakenAtItsWord() throws IOException {
        HttpAnswer answer = read("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        assertThat(answer.keepAlive()).isFalse();
    }

    @Test
    void readsAnAnswerThatComesByteByByte() throws IOException {
        byte[] bytes = ("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + "x".repeat(2000))
                .getBytes(StandardCharsets.US_ASCII);
        InputStream trickle = new ByteArrayInputStream(bytes) {
            @Override
            public synchronized int read(byte[] into, int offset, int length) {
                return super.read(into, offset, Math.min(1, length));
            }
        };
        assertThat(HttpAnswer.read(trickle).body()).hasSize(2000);
    }

    @Test
    void anAnswerCutShortIsNone() {
        assertThatThrownBy(() -> read("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nwww1:"))
                .isInstanceOf(EOFException.class);
        assertThatThrownBy(() -> read("HTTP/1.1 200 OK\r\nConte")).isInstanceOf(EOFException.class);
        assertThatThrownBy(() -> read("")).isInstanceOf(EOFException.class);
    }

    @Test
    void whatIsNoAnswerIsRefused() {
        assertThatThrownBy(() -> read("SSH-2.0-OpenSSH\r\n\r\n")).hasMessageContaining("not an HTTP answer");
        assertThatThrownBy(() -> read("HTTP/1.1 abc OK\r\n\r\n")).hasMessageContaining("not an HTTP status");
        assertThatThrownBy(() -> read("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"))
                .hasMessageContaining("Content-Length: -1");
        assertThatThrownBy(() -> read("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"))
                .isInstanceOf(IOException.class);
    }
}
