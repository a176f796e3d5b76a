package io.ballast.director.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.Endpoint;
import io.ballast.director.worker.Farm.Service;
import io.netty.channel.epoll.LinuxSocket;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How bytes and ends travel between a client and a server. */
@ParameterizedClass
@ValueSource(ints = {1, 2})
final class RelayTest {
    // linux/tcp.h
    private static final int IPPROTO_TCP = 6;
    private static final int TCP_CORK = 3;
    private static final int TCP_INFO = 11;
    private static final int TCP_INFO_SEGMENTS_IN = 140;

    private final Farm farm;

    RelayTest(int threads) throws Exception {
        farm = Farm.withWorker(threads);
    }

    @AfterEach
    void close() throws Exception {
        farm.close();
    }

    private Service service(Origin... origins) {
        Endpoint endpoint = Farm.freeEndpoint();
        Service service = Service.on(endpoint);
        int number = 1;
        for (Origin origin : origins) {
            service = service.server("s" + number++, origin.address());
        }
        return service;
    }

    private static String read(Socket socket, int length) throws IOException {
        return new String(socket.getInputStream().readNBytes(length), StandardCharsets.US_ASCII);
    }

    private static void write(Socket socket, String text) throws IOException {
        socket.getOutputStream().write(text.getBytes(StandardCharsets.US_ASCII));
    }

    @Test
    void bytesTravelBothWays() throws Exception {
        Service service = service(farm.origin(Origin.echo("a")));
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        write(client, "hello");
        assertThat(read(client, 7)).isEqualTo("a:hello");
        write(client, "again");
        assertThat(read(client, 5)).isEqualTo("again");
        assertThat(farm.statistics("web").bytesIn()).isEqualTo(10);
        assertThat(farm.statistics("web").bytesOut()).isEqualTo(12);
    }

    @Test
    void roundRobinTakesTheServersInTurn() throws Exception {
        Service service =
                service(farm.origin(Origin.echo("a")), farm.origin(Origin.echo("b")), farm.origin(Origin.echo("c")));
        farm.put(service.forwarding());
        StringBuilder order = new StringBuilder();
        for (int i = 0; i < 9; i++) {
            order.append(read(farm.connect(service.endpoint()), 1));
        }
        assertThat(order.toString()).isEqualTo("abcabcabc");
    }

    @Test
    void theClientsEndReachesTheServerAndTheAnswerComesBackWhole() throws Exception {
        byte[] big = new byte[3_000_000];
        Origin origin = farm.origin(socket -> {
            int got = socket.getInputStream().readAllBytes().length;
            socket.getOutputStream().write(("got " + got + ";").getBytes(StandardCharsets.US_ASCII));
            socket.getOutputStream().write(big);
        });
        Service service = service(origin);
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        client.getOutputStream().write(big);
        client.shutdownOutput();
        Farm.waitFor(
                "half-closed", () -> farm.statistics("web").servers().getFirst().inactive() <= 1);
        byte[] answer = client.getInputStream().readAllBytes();
        assertThat(answer).hasSize(big.length + "got 3000000;".length());
        Farm.waitFor("ended", () -> farm.statistics("web").active() == 0);
    }

    @Test
    void theLastBytesAndTheEndThatCameTogetherGoOnTogether() throws Exception {
        LinuxSocket listener = LinuxSocket.newSocketStream(false);
        LinuxSocket client = LinuxSocket.newSocketStream(false);
        try {
            listener.bind(new InetSocketAddress(Farm.LOOPBACK, 0));
            listener.listen(1);
            Service service = Service.on(Farm.freeEndpoint()).server("s1", listener.localAddress());
            farm.put(service.forwarding());
            client.connect(service.endpoint().socketAddress());
            Farm.waitFor("connected", () -> attempt(client::finishConnect));
            client.setIntOpt(IPPROTO_TCP, TCP_CORK, 1);
            client.send(ByteBuffer.allocateDirect(10), 0, 10);
            client.shutdown(false, true);

            int[] fd = {-1};
            Farm.waitFor("accepted", () -> attempt(() -> (fd[0] = listener.accept(new byte[64])) >= 0));
            io.netty.channel.unix.Socket atServer = new io.netty.channel.unix.Socket(fd[0]);
            ByteBuffer room = ByteBuffer.allocateDirect(100);
            Farm.waitFor("the bytes", () -> attempt(() -> atServer.recv(room, 0, 100) == 10));
            Farm.waitFor("the end", () -> attempt(() -> atServer.recv(room, 0, 100) == -1));
            ByteBuffer information = ByteBuffer.allocateDirect(192).order(ByteOrder.nativeOrder());
            atServer.getRawOpt(IPPROTO_TCP, TCP_INFO, information);
            atServer.close();
            assertThat(information.getInt(TCP_INFO_SEGMENTS_IN))
                    .as("segments: the handshake's two, and the bytes with the end")
                    .isEqualTo(3);
        } finally {
            client.close();
            listener.close();
        }
    }

    private static boolean attempt(Callable<Boolean> call) {
        try {
            return call.call();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void theServersEndReachesTheClientWhoMayGoOnSending() throws Exception {
        Origin origin = farm.origin(socket -> {
            socket.getOutputStream().write('x');
            socket.shutdownOutput();
            socket.getInputStream().readAllBytes();
        });
        Service service = service(origin);
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        assertThat(client.getInputStream().readAllBytes()).hasSize(1);
        Farm.waitFor(
                "half-closed", () -> farm.statistics("web").servers().getFirst().inactive() == 1);
        for (int i = 0; i < 100; i++) {
            write(client, "still here");
        }
        Farm.waitFor("received", () -> farm.statistics("web").bytesIn() == 1000);
        client.close();
        Farm.waitFor("ended", () -> farm.statistics("web").active() == 0 && origin.openConnections() == 0);
    }

    @Test
    void aClientsResetResetsTheServer() throws Exception {
        Origin origin = farm.origin(Origin.echo("a"));
        Service service = service(origin);
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        read(client, 2);
        Socket atOrigin = Objects.requireNonNull(origin.accepted.poll(10, TimeUnit.SECONDS));
        client.setSoLinger(true, 0);
        client.close();
        Farm.waitFor("closed", () -> origin.openConnections() == 0);
        assertThat(atOrigin.isClosed()).isTrue();
        assertThat(farm.statistics("web").active()).isZero();
    }

    @Test
    void aServersResetResetsTheClient() throws Exception {
        Origin origin = farm.origin(socket -> {
            socket.getOutputStream().write('x');
            socket.getInputStream().read();
            socket.setSoLinger(true, 0);
        });
        Service service = service(origin);
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        assertThat(read(client, 1)).isEqualTo("x");
        write(client, "y");
        assertThatThrownBy(() -> client.getInputStream().read())
                .isInstanceOf(SocketException.class)
                .hasMessageContaining("reset");
        Farm.waitFor("ended", () -> farm.statistics("web").active() == 0);
    }

    private static void talk(Socket client) {
        try {
            client.getOutputStream().write('?');
        } catch (IOException e) {
            // Nobody listens any more; there may be something to read all the same.
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatTheServerSaidBeforeItsResetStillArrives(boolean clientGoesOnTalking) throws Exception {
        int size = 8_000_000;
        Origin origin = farm.origin(socket -> {
            socket.getOutputStream().write(new byte[size]);
            socket.setSoLinger(true, 0);
        });
        Service service = service(origin);
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        Farm.waitFor("the server's end", () -> farm.statistics("web").bytesOut() > 1_000_000);
        long got = 0;
        byte[] block = new byte[10_000];
        try {
            for (int n = client.getInputStream().read(block);
                    n > 0;
                    n = client.getInputStream().read(block)) {
                got += n;
                if (clientGoesOnTalking) {
                    talk(client);
                }
            }
        } catch (SocketException e) {
            assertThat(e).hasMessageContaining("reset");
        }
        Farm.waitFor("ended", () -> farm.statistics("web").active() == 0);
        assertThat(got).isEqualTo(farm.statistics("web").bytesOut());
    }

    @Test
    void aSlowReaderStopsTheServerAndNothingIsLost() throws Exception {
        int size = 64 * 1024 * 1024;
        Origin origin = farm.origin(socket -> {
            byte[] block = new byte[65536];
            for (int sent = 0; sent < size; sent += block.length) {
                Arrays.fill(block, (byte) (sent >> 16));
                socket.getOutputStream().write(block);
            }
        });
        Service service = service(origin);
        farm.put(service.forwarding());
        Socket client = farm.connect(service.endpoint());
        // The kernel's buffers fill, and then nothing moves any more: far less than everything has left the server.
        long[] last = {-1};
        Farm.waitFor("standstill", () -> {
            long now = farm.statistics("web").bytesOut();
            boolean still = now == last[0] && now > 0;
            last[0] = now;
            return still;
        });
        assertThat(last[0]).isLessThan(size / 2);
        byte[] block = new byte[65536];
        long got = 0;
        boolean right = true;
        for (int n = client.getInputStream().read(block);
                n > 0;
                n = client.getInputStream().read(block)) {
            for (int i = 0; i < n; i++) {
                right &= block[i] == (byte) ((got + i) >> 16);
            }
            got += n;
        }
        assertThat(got).isEqualTo(size);
        assertThat(right).isTrue();
    }
}
