package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.TextMatch;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * All that a healthy server says to a probe, by protocol; sent at once, whatever the probe says in between.
 *
 * @param name of the protocol
 */
record Golden(String name, ProbeSpec spec, String bytes) {

    /** Bytes as characters, so that records compare. */
    byte[] answer() {
        return bytes.getBytes(StandardCharsets.ISO_8859_1);
    }

    @Override
    public String toString() {
        return name;
    }

    /** Bytes from hexadecimal, spaces left out. */
    static String hex(String digits) {
        return new String(HexFormat.of().parseHex(digits.replaceAll("\\s", "")), StandardCharsets.ISO_8859_1);
    }

    /** A frame of HTTP/2. */
    static String frame(int type, int flags, int stream, String payload) {
        int length = payload.length();
        return hex("%06x%02x%02x%08x".formatted(length, type, flags, stream)) + payload;
    }

    /** A packet of MySQL. */
    static String packet(int sequence, String payload) {
        int length = payload.length();
        return hex("%02x%02x%02x%02x".formatted(length & 0xff, (length >> 8) & 0xff, length >> 16, sequence)) + payload;
    }

    /** A text of MySQL with its length before it. */
    static String text(String text) {
        return (char) text.length() + text;
    }

    static String mysqlGreeting(String version, String plugin, String scramble) {
        return packet(
                0,
                "\n" + version + "\0" + hex("0b000000") + scramble.substring(0, 8) + "\0" + hex("fff7") + hex("08")
                        + hex("0200") + hex("ff81") + (char) 21 + "\0".repeat(10) + scramble.substring(8) + "\0"
                        + plugin
                        + "\0");
    }

    /** OK, with nothing to report. */
    static String mysqlOk(int sequence) {
        return packet(sequence, hex("00000002000000"));
    }

    /** A result set of one row; a null value is SQL's. */
    static String mysqlRow(String... namesAndValues) {
        StringBuilder out = new StringBuilder();
        int sequence = 1;
        int columns = namesAndValues.length / 2;
        out.append(packet(sequence++, "" + (char) columns));
        for (int i = 0; i < columns; i++) {
            out.append(packet(
                    sequence++,
                    text("def")
                            + text("")
                            + text("")
                            + text("")
                            + text(namesAndValues[2 * i])
                            + text("")
                            + hex("0c 2100 ff000000 fd 0000 1f 0000")));
        }
        out.append(packet(sequence++, hex("fe00000200")));
        StringBuilder row = new StringBuilder();
        for (int i = 0; i < columns; i++) {
            String value = namesAndValues[2 * i + 1];
            row.append(value.equals("NULL") ? hex("fb") : text(value));
        }
        out.append(packet(sequence++, row.toString()));
        return out.append(packet(sequence, hex("fe00000200"))).toString();
    }

    static String dns(String header, String... sections) {
        String message = hex(header) + String.join("", sections);
        return hex("%04x".formatted(message.length())) + message;
    }

    static Path secret(String content) throws IOException {
        Path file = Files.createTempFile("secret", "");
        file.toFile().deleteOnExit();
        Files.writeString(file, content);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        return file;
    }

    static List<Golden> all() throws IOException {
        Optional<String> secret = Optional.of(secret("secret").toString());
        List<Golden> all = new ArrayList<>();
        all.add(new Golden("tcp", Asking.tcp("hello", "world"), "hello world"));
        String ok = "HTTP/1.1 200 OK\r\n";
        all.add(new Golden(
                "http",
                Asking.containing(Asking.http(), "Test", false),
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok
                        + "Content-Length: 10\r\nContent-Type: text/html; charset=utf-8\r\n\r\nTest Page\n"));
        all.add(new Golden(
                "http chunked",
                Asking.containing(Asking.http(), "T.st", true),
                ok + "Transfer-Encoding: chunked\r\n\r\n4;a=b\r\nTest\r\n6\r\n Page.\r\n0\r\nX: y\r\n\r\n"));
        String settings = frame(4, 0, 0, hex("000300000064 000500004000"));
        all.add(new Golden(
                "http/2",
                Asking.containing(Asking.http(HttpVersion.HTTP_2, Optional.empty()), "Test", false),
                settings
                        + frame(4, 1, 0, "")
                        + frame(6, 0, 0, "12345678")
                        + frame(8, 0, 0, hex("00010000"))
                        + frame(1, 4, 1, hex("88 5f 09") + "text/html")
                        + frame(0, 8, 1, hex("02") + "Test Pa\0\0")
                        + frame(0, 1, 1, "ge\n")));
        all.add(new Golden(
                "grpc",
                new ProbeSpec.Grpc("", Optional.empty()),
                settings
                        + frame(1, 4, 1, hex("88 5f 10") + "application/grpc")
                        + frame(0, 0, 1, hex("00 00000002 0801"))
                        + frame(1, 5, 1, hex("00 0b") + "grpc-status" + hex("01") + "0")));
        all.add(new Golden(
                "smtp",
                new ProbeSpec.Smtp("lb.example", false, Optional.empty()),
                "220-mail.example ESMTP\r\n220 ready\r\n250-mail.example\r\n250-SIZE 100\r\n250 HELP\r\n"));
        all.add(new Golden("ftp", new ProbeSpec.Ftp(Optional.empty()), "220-Welcome\r\n to\r\n220 ready\r\n"));
        all.add(new Golden("imap", new ProbeSpec.Imap(Optional.empty()), "* OK [CAPABILITY IMAP4rev2] ready\r\n"));
        all.add(new Golden("pop3", new ProbeSpec.Pop3(Optional.empty()), "+OK POP3 ready <1.2@mail.example>\r\n"));
        all.add(new Golden("redis", new ProbeSpec.Redis(secret), "+OK\r\n+PONG\r\n"));
        all.add(new Golden("memcached", new ProbeSpec.Memcached(), "VERSION 1.6.18\r\n"));
        all.add(new Golden(
                "ldap",
                new ProbeSpec.Ldap(Optional.of("cn=monitor"), secret, Optional.empty()),
                hex("300c 020101 6107 0a0100 0400 0400")));
        String scramble = "abcdefghijklmnopqrst";
        all.add(new Golden(
                "mysql native",
                new ProbeSpec.Mysql(Optional.of("monitor"), secret, Optional.of(Duration.ofSeconds(10))),
                mysqlGreeting("5.5.5-10.11.6-MariaDB-0+deb12u1", "mysql_native_password", scramble)
                        + packet(2, hex("fe") + "mysql_native_password\0" + scramble + "\0")
                        + mysqlOk(4)
                        + mysqlRow(
                                "Slave_IO_Running", "Yes", "Slave_SQL_Running", "Yes", "Seconds_Behind_Master", "3")));
        all.add(new Golden(
                "mysql sha2",
                new ProbeSpec.Mysql(Optional.of("monitor"), secret, Optional.empty()),
                mysqlGreeting("8.0.36", "caching_sha2_password", scramble) + packet(2, hex("0103")) + mysqlOk(3)));
        return all;
    }

    /** A probe of DNS by TCP whose identifier is not known beforehand cannot be golden: its answer is made here. */
    static String dnsAnswer(int id) {
        return dns(
                "%04x 8180 0001 0003 0000 0000".formatted(id),
                hex("03") + "www" + hex("07") + "example" + hex("00 0001 0001"),
                hex("c00c 0005 0001 00000e10 0008") + hex("05") + "alias" + hex("c010"),
                hex("c00c 0001 0001 00000e10 0004 c0000207"),
                hex("c00c 0010 0001 00000e10 0006") + text("hi") + text("ya"));
    }

    static ProbeSpec.Dns dnsSpec() {
        return new ProbeSpec.Dns("www.example", "A", Optional.of("192.0.2.7"), "NOERROR", true);
    }

    static ProbeSpec.Udp udpSpec(String expect) {
        return new ProbeSpec.Udp("ping", Optional.of(new TextMatch(expect, false)));
    }
}
