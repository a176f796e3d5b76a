package io.ballast.lab.farm;

import io.ballast.core.config.HostPort;
import io.ballast.lab.topology.Echo;
import java.io.IOException;
import java.net.BindException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Sends datagrams back with its name in front, as a process of its own. It has a socket for each address, so that an
 * answer comes from where the question went; one for an address that the node does not have yet waits for it.
 */
public final class EchoServer {
    private static final int MAX_DATAGRAM = 65_535;
    private static final int AGAIN_MILLIS = 50;

    private EchoServer() {}

    static List<String> command(Echo echo) {
        List<String> command = new ArrayList<>(
                Jvm.java(EchoServer.class.getName(), List.of("-Xmx16m", "-Xshare:auto", "-XX:TieredStopAtLevel=1")));
        command.add(echo.name());
        for (InetSocketAddress address : echo.listen()) {
            command.add(HostPort.join(address.getAddress().getHostAddress(), address.getPort()));
        }
        return command;
    }

    /** Takes its name and its addresses. */
    public static void main(String[] args) throws IOException, InterruptedException {
        // All that can be had first: who is answered at one of them takes the others for served as well.
        Map<SocketAddress, Optional<DatagramSocket>> sockets = new LinkedHashMap<>();
        for (String address : List.of(args).subList(1, args.length)) {
            URI uri = URI.create("udp://" + address);
            SocketAddress socketAddress = new InetSocketAddress(uri.getHost(), uri.getPort());
            sockets.put(socketAddress, bind(socketAddress));
        }
        List<Thread> threads = new ArrayList<>();
        sockets.forEach((address, socket) ->
                threads.add(Thread.ofPlatform().start(() -> serve(args[0], address, socket))));
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private static void serve(String name, SocketAddress address, Optional<DatagramSocket> bound) {
        try (DatagramSocket socket = bound.isPresent() ? bound.get() : awaitAddress(address)) {
            byte[] buffer = new byte[MAX_DATAGRAM];
            while (true) {
                DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
                socket.receive(packet);
                String text = new String(packet.getData(), 0, packet.getLength(), StandardCharsets.ISO_8859_1);
                byte[] answer = Echo.answer(name, text).getBytes(StandardCharsets.ISO_8859_1);
                answer(socket, new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
            }
        } catch (IOException | InterruptedException e) {
            System.err.println(address + ": " + e);
        }
    }

    /** The daemon beside gives the node the address. */
    private static DatagramSocket awaitAddress(SocketAddress address) throws IOException, InterruptedException {
        while (true) {
            Optional<DatagramSocket> socket = bind(address);
            if (socket.isPresent()) {
                return socket.get();
            }
            Thread.sleep(AGAIN_MILLIS);
        }
    }

    /** Nothing where the node does not have the address yet. */
    private static Optional<DatagramSocket> bind(SocketAddress address) throws IOException {
        try {
            return Optional.of(new DatagramSocket(address));
        } catch (BindException e) {
            return Optional.empty();
        }
    }

    private static void answer(DatagramSocket socket, DatagramPacket packet) {
        try {
            socket.send(packet);
        } catch (IOException e) {
            System.err.println(packet.getSocketAddress() + ": " + e); // its asker is gone; others are not
        }
    }
}
