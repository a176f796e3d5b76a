package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.linux.NetworkNamespace;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.opentest4j.TestAbortedException;

/**
 * Connections to the examples of two directors, with a scheduler that has to remember them: they outlive the machine of their
 * director, and the return of it. By nat the servers' way back is a second shared address, which moves with the first; by
 * fullnat what servers see as the client is a shared address as well.
 */
class ConnectionsTest {
    private static final Path EXAMPLE = Path.of("../examples/ultramonkey.yaml");
    private static final Path NAT = Path.of("../examples/nat-pair.yaml");
    private static final InetSocketAddress WEB = new InetSocketAddress(InetAddress.ofLiteral("192.168.6.240"), 80);
    private static final int CONNECTIONS = 150;
    private static final Duration PATIENCE = Duration.ofSeconds(40);

    @TempDir(factory = ShortDirectory.class)
    Path run;

    private final String name =
            "c" + ProcessHandle.current().pid() + "-" + Long.toHexString(System.nanoTime() & 0xffff);
    private final List<Kept> connections = new ArrayList<>();

    @AfterEach
    void takeAway() throws Exception {
        for (Kept connection : connections) {
            connection.socket.close();
        }
        new LabStore(run).down(name);
    }

    /** A client's connection that is kept, and who answers it. */
    private static final class Kept {
        private final Socket socket;
        private final BufferedReader in;
        private final String server;

        Kept(Socket socket) throws IOException {
            this.socket = socket;
            in = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.ISO_8859_1));
            server = ask();
        }

        /** The page, which names the server. */
        String ask() throws IOException {
            socket.getOutputStream()
                    .write("GET /index.html HTTP/1.1\r\nHost: web\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            int length = -1;
            for (String line = in.readLine(); line != null && !line.isEmpty(); line = in.readLine()) {
                String lower = line.toLowerCase(Locale.ROOT);
                if (lower.startsWith("content-length:")) {
                    length = Integer.parseInt(
                            lower.substring("content-length:".length()).strip());
                }
            }
            if (length < 0) {
                throw new IOException("no answer");
            }
            StringBuilder body = new StringBuilder();
            while (body.length() < length) {
                int next = in.read();
                if (next < 0) {
                    throw new IOException("the answer ends too early");
                }
                body.append((char) next);
            }
            return body.toString();
        }
    }

    private void connect(NetworkNamespace client) throws Exception {
        client.call(() -> {
            Socket socket = new Socket();
            socket.setTcpNoDelay(true);
            socket.setSoTimeout((int) PATIENCE.toMillis());
            socket.connect(WEB, (int) PATIENCE.toMillis());
            connections.add(new Kept(socket));
            return true;
        });
    }

    private long lost() {
        return connections.stream()
                .filter(connection -> {
                    try {
                        return !connection.ask().equals(connection.server);
                    } catch (IOException e) {
                        return true;
                    }
                })
                .count();
    }

    private static JsonObject sync(Daemon daemon) throws Exception {
        JsonArray peers = daemon.control()
                .get("/v1/status")
                .getAsJsonObject("connectionSync")
                .getAsJsonArray("peers");
        return peers.get(0).getAsJsonObject();
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            assertThat(System.nanoTime() - end).as("in time: " + what).isNegative();
            Thread.sleep(20);
        }
    }

    private static boolean knows(Daemon teller, Daemon listener) throws Exception {
        JsonObject told = sync(teller);
        return told.get("knowsAll").getAsBoolean()
                && told.get("told").getAsLong() >= CONNECTIONS
                && sync(listener).get("taken").getAsLong() >= CONNECTIONS;
    }

    private static String example(ForwardingMethod method) throws IOException {
        String text = Files.readString(method == ForwardingMethod.NAT ? NAT : EXAMPLE)
                .replace("\nservices:", "\nconnection-sync: { key: known-to-both-of-them }\n\nservices:");
        return method != ForwardingMethod.FULLNAT
                ? text
                : text.replace("addresses: [192.168.6.240/24]", "addresses: [192.168.6.240/24, 192.168.6.241/24]")
                        .replace("forwarding: dr", "forwarding: fullnat\n    source: 192.168.6.241");
    }

    @ParameterizedTest
    @EnumSource(names = {"DR", "NAT", "FULLNAT"})
    void connectionsOutliveTheMachineOfTheirDirectorAndItsReturn(ForwardingMethod method) throws Exception {
        Privileges.missingForXdp().ifPresent(reason -> {
            throw new TestAbortedException("no engine xdp: " + reason);
        });
        DescriptionText text = DescriptionText.of(example(method));
        try (Lab lab = new LabStore(run).up(new Lab.Plan(name, EXAMPLE, text, true, true), _ -> {});
                NetworkNamespace client = lab.namespace(lab.client().name())) {
            assertThat(lab.silent()).isEmpty();
            Daemon first = daemon(lab, "director1");
            Daemon second = daemon(lab, "director2");
            while (connections.size() < CONNECTIONS) {
                connect(client);
            }
            assertThat(connections.stream().map(each -> each.server).distinct())
                    .as("who serves")
                    .hasSize(2);
            await("the other director knows them", () -> knows(first, second));

            Restoring interfaces = lab.removeInterfaces("director1");
            var _ = first.killAll();
            await("director2 is master", () -> isMaster(lab, "director2"));
            assertThat(lost()).as("over the death of director1").isZero();

            interfaces.restore();
            first.awaitEnd();
            first.start(List.of());
            first.awaitAnswer();
            await("director1 is master again", () -> isMaster(lab, "director1"));
            assertThat(lost()).as("over its return").isZero();
        }
    }

    private static Daemon daemon(Lab lab, String node) {
        return lab.daemons().stream()
                .filter(daemon -> daemon.node().equals(node))
                .findFirst()
                .orElseThrow();
    }

    private static boolean isMaster(Lab lab, String node) {
        Set<String> masters = lab.roles().stream()
                .filter(RouterRole::master)
                .map(RouterRole::node)
                .collect(Collectors.toSet());
        return masters.equals(Set.of(node));
    }
}
