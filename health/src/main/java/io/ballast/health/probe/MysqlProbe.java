package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Texts;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * MySQL's client/server protocol as far as a log-in and one query go: handshake version 10, the methods
 * mysql_native_password and caching_sha2_password, and the text result set of SHOW REPLICA STATUS.
 *
 * <p>Without a user only the greeting is read. The server counts that as a connection broken off, and blocks the director
 * after {@code max_connect_errors} of them, where that is not raised: a user without any right is the better check.
 *
 * <p>caching_sha2_password has a fast way for users in the server's cache. For others it asks for the password itself,
 * which is not sent here without TLS; such a user logs in once in another way, or gets mysql_native_password.
 */
final class MysqlProbe extends NetworkProbe {

    private static final int MAX_PACKET = 64 * 1024;
    private static final int MAX_COLUMNS = 256;
    private static final int MAX_ROWS = 64;

    private static final int CLIENT_LONG_PASSWORD = 0x1;
    private static final int CLIENT_PROTOCOL_41 = 0x200;
    private static final int CLIENT_TRANSACTIONS = 0x2000;
    private static final int CLIENT_SECURE_CONNECTION = 0x8000;
    private static final int CLIENT_PLUGIN_AUTH = 0x80000;

    /** utf8mb3_general_ci, which every version knows. */
    private static final int CHARSET = 33;

    private static final int COM_QUIT = 1;
    private static final int COM_QUERY = 3;
    private static final int ER_PARSE_ERROR = 1064;

    private final ProbeSpec.Mysql spec;

    MysqlProbe(ProbeSpec.Mysql spec) {
        if (spec.maxLag().isPresent() && spec.user().isEmpty()) {
            throw new IllegalArgumentException("max-lag needs a user who may read the replica's status");
        }
        this.spec = spec;
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        String password = Secret.read(spec.passwordFile());
        attempt.connect(3306);
        attempt.await("greeting");
        attempt.endPolitely();
        Wire wire = new Wire(attempt);
        Greeting greeting = greeting(wire.read());
        attempt.say(greeting.product());
        if (spec.user().isEmpty()) {
            return;
        }
        attempt.await("answer to the log-in");
        logIn(wire, greeting, spec.user().get(), password);
        if (spec.maxLag().isPresent()) {
            attempt.await("replica's status");
            attempt.say(lag(replicaStatus(wire), spec.maxLag().get()));
        } else {
            attempt.say("logged in");
        }
        wire.command(COM_QUIT, "");
    }

    /** Packets: three bytes of length, a number, and the payload. */
    private static final class Wire {
        private final Attempt attempt;
        private int sequence;

        Wire(Attempt attempt) {
            this.attempt = attempt;
        }

        Packet read() throws IOException, ProbeFailure {
            BoundedInput in = attempt.input();
            int length = in.need() | (in.need() << 8) | (in.need() << 16);
            sequence = in.need() + 1;
            if (length > MAX_PACKET) {
                throw new ProbeFailure("the server does not speak MySQL's protocol here, or sent a packet of "
                        + Texts.bytes(length) + ", more than " + MAX_PACKET);
            }
            return new Packet(in.exactly(length));
        }

        void write(byte[] payload) throws IOException {
            byte[] packet = new byte[payload.length + 4];
            packet[0] = (byte) payload.length;
            packet[1] = (byte) (payload.length >> 8);
            packet[2] = (byte) (payload.length >> 16);
            packet[3] = (byte) sequence;
            System.arraycopy(payload, 0, packet, 4, payload.length);
            attempt.output().write(packet);
        }

        void command(int command, String text) throws IOException {
            sequence = 0;
            ByteArrayOutputStream payload = new ByteArrayOutputStream();
            payload.write(command);
            payload.writeBytes(text.getBytes(StandardCharsets.UTF_8));
            write(payload.toByteArray());
        }
    }

    /** A payload, read from its beginning. */
    private static final class Packet {
        private final byte[] bytes;
        private int position;

        Packet(byte[] bytes) {
            this.bytes = bytes;
        }

        int first() {
            return bytes.length == 0 ? -1 : bytes[0] & 0xff;
        }

        boolean isEnd() {
            return first() == 0xfe && bytes.length < 9;
        }

        boolean isError(int code) {
            return first() == 0xff && bytes.length >= 3 && ((bytes[1] & 0xff) | ((bytes[2] & 0xff) << 8)) == code;
        }

        int left() {
            return bytes.length - position;
        }

        byte[] take(int count) throws ProbeFailure {
            if (count < 0 || count > left()) {
                throw malformed();
            }
            position += count;
            return Arrays.copyOfRange(bytes, position - count, position);
        }

        int number(int octets) throws ProbeFailure {
            int value = 0;
            byte[] taken = take(octets);
            for (int i = 0; i < octets; i++) {
                value |= (taken[i] & 0xff) << (8 * i);
            }
            return value;
        }

        /** Text up to a zero byte, or to the end. */
        String text() {
            int end = position;
            while (end < bytes.length && bytes[end] != 0) {
                end++;
            }
            String text = new String(bytes, position, end - position, StandardCharsets.UTF_8);
            position = Math.min(end + 1, bytes.length);
            return text;
        }

        /** A text with its length before it; null for SQL's NULL. */
        @Nullable
        String lengthText() throws ProbeFailure {
            int length = number(1);
            if (length == 0xfb) {
                return null;
            }
            if (length == 0xfc) {
                length = number(2);
            } else if (length == 0xfd) {
                length = number(3);
            } else if (length > 0xfd) {
                throw malformed(); // longer than any packet that is read
            }
            return new String(take(length), StandardCharsets.UTF_8);
        }

        private static ProbeFailure malformed() {
            return new ProbeFailure("the server's packet is malformed");
        }
    }

    private record Greeting(String product, Scramble scramble, String plugin) {}

    /** The random bytes that a password is proved with. */
    private static final class Scramble {
        private final byte[] bytes;

        Scramble(byte[] bytes) {
            this.bytes = bytes;
        }

        byte[] answer(String plugin, String password) throws ProbeFailure {
            if (password.isEmpty()) {
                return new byte[0];
            }
            byte[] secret = password.getBytes(StandardCharsets.UTF_8);
            return switch (plugin) {
                case "mysql_native_password" -> nativePassword(secret, bytes);
                case "caching_sha2_password" -> cachingSha2(secret, bytes);
                default ->
                    throw new ProbeFailure("the user logs in by " + plugin
                            + ", which is not supported: mysql_native_password and caching_sha2_password are");
            };
        }
    }

    /** SHA1(password) xor SHA1(scramble, SHA1(SHA1(password))). */
    static byte[] nativePassword(byte[] password, byte[] scramble) throws ProbeFailure {
        byte[] once = hash("SHA-1", password);
        return xor(once, hash("SHA-1", scramble, hash("SHA-1", once)));
    }

    /** SHA256(password) xor SHA256(SHA256(SHA256(password)), scramble). */
    static byte[] cachingSha2(byte[] password, byte[] scramble) throws ProbeFailure {
        byte[] once = hash("SHA-256", password);
        return xor(once, hash("SHA-256", hash("SHA-256", once), scramble));
    }

    private static byte[] hash(String algorithm, byte[]... parts) throws ProbeFailure {
        try {
            MessageDigest digest = MessageDigest.getInstance(algorithm);
            for (byte[] part : parts) {
                digest.update(part);
            }
            return digest.digest();
        } catch (GeneralSecurityException e) {
            throw new ProbeFailure("this Java has no " + algorithm);
        }
    }

    private static byte[] xor(byte[] a, byte[] b) {
        byte[] result = new byte[a.length];
        for (int i = 0; i < a.length; i++) {
            result[i] = (byte) (a[i] ^ b[i]);
        }
        return result;
    }

    private static Greeting greeting(Packet packet) throws ProbeFailure {
        if (packet.first() == 0xff) {
            throw new ProbeFailure("the server refuses the connection: " + error(packet));
        }
        if (packet.number(1) != 10) {
            throw new ProbeFailure("the server does not speak MySQL's protocol here, or a version before 4.1");
        }
        String version = packet.text();
        // MariaDB puts this before its own version, for old replicas.
        String product = version.contains("MariaDB")
                ? "MariaDB " + version.replaceFirst("^5\\.5\\.5-", "").replaceFirst("-MariaDB.*", "")
                : "MySQL " + version;
        packet.take(4);
        ByteArrayOutputStream scramble = new ByteArrayOutputStream();
        scramble.writeBytes(packet.take(8));
        packet.take(1);
        int capabilities = packet.number(2);
        String plugin = "mysql_native_password";
        if (packet.left() > 0) {
            packet.take(3); // character set and status
            capabilities |= packet.number(2) << 16;
            int length = packet.number(1);
            packet.take(10);
            scramble.writeBytes(packet.take(Math.max(12, Math.min(length - 9, packet.left()))));
            if (packet.left() > 0) {
                packet.take(1);
            }
            if ((capabilities & CLIENT_PLUGIN_AUTH) != 0) {
                plugin = packet.text();
            }
        }
        if ((capabilities & CLIENT_PROTOCOL_41) == 0) {
            throw new ProbeFailure("the server speaks a version of MySQL's protocol before 4.1");
        }
        return new Greeting(product, new Scramble(scramble.toByteArray()), plugin);
    }

    private static void logIn(Wire wire, Greeting greeting, String user, String password)
            throws IOException, ProbeFailure {
        boolean known = greeting.plugin().equals("mysql_native_password")
                || greeting.plugin().equals("caching_sha2_password");
        // The user may have another method than the server's default: it will say so.
        String plugin = known ? greeting.plugin() : "mysql_native_password";
        byte[] proof = greeting.scramble().answer(plugin, password);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int capabilities = CLIENT_LONG_PASSWORD
                | CLIENT_PROTOCOL_41
                | CLIENT_TRANSACTIONS
                | CLIENT_SECURE_CONNECTION
                | CLIENT_PLUGIN_AUTH;
        for (int i = 0; i < 4; i++) {
            out.write(capabilities >> (8 * i));
        }
        out.writeBytes(new byte[] {0, 0, 1, 0, CHARSET});
        out.writeBytes(new byte[23]);
        out.writeBytes(user.getBytes(StandardCharsets.UTF_8));
        out.write(0);
        out.write(proof.length);
        out.writeBytes(proof);
        out.writeBytes(plugin.getBytes(StandardCharsets.US_ASCII));
        out.write(0);
        wire.write(out.toByteArray());
        finish(wire, plugin, password);
    }

    private static void finish(Wire wire, String first, String password) throws IOException, ProbeFailure {
        String plugin = first;
        for (int turn = 0; turn < 4; turn++) {
            Packet packet = wire.read();
            switch (packet.first()) {
                case 0x00 -> {
                    return;
                }
                case 0xff -> throw new ProbeFailure("log-in refused: " + error(packet));
                case 0xfe -> {
                    packet.take(1);
                    plugin = packet.text();
                    byte[] scramble = packet.take(packet.left());
                    int end = scramble.length > 0 && scramble[scramble.length - 1] == 0
                            ? scramble.length - 1
                            : scramble.length;
                    wire.write(new Scramble(Arrays.copyOf(scramble, end)).answer(plugin, password));
                }
                case 0x01 -> {
                    packet.take(1);
                    int status = packet.left() > 0 ? packet.number(1) : -1;
                    if (!plugin.equals("caching_sha2_password") || status != 3) {
                        throw new ProbeFailure(
                                status == 4
                                        ? "the server does not have the user in its cache and asks for the password"
                                                + " itself, which is not sent without TLS: log this user in once"
                                                + " otherwise, or use mysql_native_password"
                                        : "the server's log-in takes a turn that is not supported (" + plugin + ")");
                    }
                }
                default -> throw new ProbeFailure("the server's answer to the log-in is malformed");
            }
        }
        throw new ProbeFailure("the log-in does not come to an end");
    }

    /** Code and text of an error packet. */
    private static String error(Packet packet) throws ProbeFailure {
        packet.take(1);
        int code = packet.number(2);
        String text = packet.text();
        if (text.startsWith("#") && text.length() > 6) {
            text = text.substring(6); // the SQL state
        }
        return text + " (" + code + ")";
    }

    /** The columns of the replica's status by name; empty where the server is no replica. */
    private static Map<String, @Nullable String> replicaStatus(Wire wire) throws IOException, ProbeFailure {
        wire.command(COM_QUERY, "SHOW REPLICA STATUS");
        Packet first = wire.read();
        if (first.isError(ER_PARSE_ERROR)) {
            wire.command(COM_QUERY, "SHOW SLAVE STATUS"); // before MySQL 8.0.22 and MariaDB 10.5.1
            first = wire.read();
        }
        if (first.first() == 0xff) {
            throw new ProbeFailure("the replica's status is refused: " + error(first));
        }
        int columns = first.number(1);
        if (columns == 0xfc) {
            columns = first.number(2);
        }
        if (columns == 0 || columns > MAX_COLUMNS) {
            throw new ProbeFailure("the replica's status has " + columns + " columns");
        }
        List<String> names = new ArrayList<>();
        for (int i = 0; i < columns; i++) {
            Packet column = wire.read();
            for (int skipped = 0; skipped < 4; skipped++) {
                column.lengthText(); // catalogue, schema and two names of the table
            }
            String name = column.lengthText();
            names.add(name == null ? "" : name);
        }
        if (!wire.read().isEnd()) {
            throw new ProbeFailure("the replica's status is malformed");
        }
        Map<String, @Nullable String> row = new HashMap<>();
        for (int rows = 0; ; rows++) {
            Packet packet = wire.read();
            if (packet.isEnd()) {
                return row;
            }
            if (packet.first() == 0xff) {
                throw new ProbeFailure("the replica's status is refused: " + error(packet));
            }
            if (rows == MAX_ROWS) {
                throw new ProbeFailure("the replica's status has more than " + MAX_ROWS + " rows");
            }
            Map<String, @Nullable String> next = new HashMap<>();
            for (String name : names) {
                next.put(name, packet.lengthText());
            }
            // Of several channels, the one that is furthest behind, or does not run at all, counts.
            if (rows == 0 || behind(next) > behind(row)) {
                row = next;
            }
        }
    }

    private static long behind(Map<String, @Nullable String> row) {
        String seconds = first(row, "Seconds_Behind_Source", "Seconds_Behind_Master");
        if (seconds == null || !seconds.matches("[0-9]{1,18}")) {
            return Long.MAX_VALUE;
        }
        return Long.parseLong(seconds);
    }

    private static @Nullable String first(Map<String, @Nullable String> row, String... names) {
        for (String name : names) {
            String value = row.get(name);
            if (value != null) {
                return value;
            }
        }
        return null;
    }

    /** What the status says, where it is good enough. */
    private static String lag(Map<String, @Nullable String> row, Duration allowed) throws ProbeFailure {
        if (row.isEmpty()) {
            throw new ProbeFailure("the server is not a replica");
        }
        long behind = behind(row);
        if (behind == Long.MAX_VALUE) {
            String error = first(row, "Last_IO_Error", "Last_Error");
            String sqlError = first(row, "Last_SQL_Error");
            String why = error != null && !error.isEmpty() ? error : sqlError == null ? "" : sqlError;
            throw new ProbeFailure("replication does not run (receiver: "
                    + first(row, "Replica_IO_Running", "Slave_IO_Running") + ", applier: "
                    + first(row, "Replica_SQL_Running", "Slave_SQL_Running") + ")" + (why.isEmpty() ? "" : ": " + why));
        }
        String lag = "replica is " + behind + " s behind";
        if (behind > allowed.toSeconds()) {
            throw new ProbeFailure(lag + ", allowed are " + Texts.limit(allowed.toNanos()));
        }
        return lag;
    }
}
