package io.ballast.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.cli.Terminal.Style;
import io.ballast.core.config.Description;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.node.EngineSupport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** {@code ballast doctor}: what this machine has of what ballast needs or can use. */
final class DoctorVerb implements Verb {
    /** What is known of one thing. */
    enum Mark {
        /** As it should be. */
        GOOD,
        /** It works, but something is given up. */
        POOR,
        /** Something cannot work. */
        BAD
    }

    /** One thing that was looked at. */
    record Finding(Mark mark, String name, String value, String advice) {}

    /** Capabilities by their bit in the kernel's masks (linux/capability.h), and what ballast does with each. */
    private enum Capability {
        NET_BIND_SERVICE(10, "listen on ports below 1024"),
        NET_ADMIN(12, "add addresses or make lab networks"),
        NET_RAW(13, "make ICMP checks, or checks bound to an interface"),
        SYS_ADMIN(21, "make network namespaces for the lab"),
        SYS_RESOURCE(24, "raise its own limits"),
        PERFMON(38, "load programs of the engine xdp"),
        BPF(39, "load programs of the engine xdp");

        private final int bit;
        private final String use;

        Capability(int bit, String use) {
            this.bit = bit;
            this.use = use;
        }
    }

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("doctor", "Look at this machine: Java, kernel, capabilities, limits and tools")
                .describe(
                        "Exits with 1 when something that every service needs is missing, or with a description, when one"
                                + " of its services could not have its engine. Run it as the daemon's user, on the director.")
                .parameter(Parameter.optional(
                        "description", ValueKind.FILE, "also which engine each service gets, and why"))
                .example("ballast doctor", "before the first farm, or when something does not work");
    }

    @Override
    public int run(Invocation call) throws Failure {
        List<Finding> findings = findings(call.environment());
        Optional<String> description = call.optionalParameter("description");
        if (description.isPresent()) {
            engines(Path.of(description.get()), findings);
        }
        if (call.json()) {
            JsonArray array = new JsonArray();
            for (Finding f : findings) {
                JsonObject json = new JsonObject();
                json.addProperty("name", f.name());
                json.addProperty("mark", f.mark().name().toLowerCase(Locale.ROOT));
                json.addProperty("value", f.value());
                json.addProperty("advice", f.advice());
                array.add(json);
            }
            JsonObject json = new JsonObject();
            json.add("findings", array);
            call.terminal().json(json);
        } else {
            for (Finding f : findings) {
                show(f, call.terminal());
            }
        }
        return findings.stream().anyMatch(f -> f.mark() == Mark.BAD) ? Exit.FAILED : Exit.DONE;
    }

    private static void show(Finding f, Terminal terminal) {
        String mark = switch (f.mark()) {
            case GOOD -> terminal.style(Style.GREEN, "ok  ");
            case POOR -> terminal.style(Style.YELLOW, "note");
            case BAD -> terminal.style(Style.RED, "bad ");
        };
        String name = f.name() + " ".repeat(Math.max(1, 22 - f.name().length()));
        terminal.out().println(mark + "  " + name + f.value());
        if (!f.advice().isEmpty()) {
            terminal.out().println(" ".repeat(6) + f.advice());
        }
    }

    private static List<Finding> findings(Map<String, String> environment) {
        List<Finding> findings = new ArrayList<>();
        findings.add(java());
        findings.add(kernel());
        capabilities(findings);
        limits(findings);
        findings.add(xdp());
        for (String[] tool : new String[][] {
            {"ip", "iproute2", "the lab's networks"},
            {"nginx", "nginx-light", "the lab's web servers; without it the JDK's own is used"},
            {"tcpdump", "tcpdump", "`ballast lab capture`"},
            {"haproxy", "haproxy", "`ballast bench director`, as the peer"},
        }) {
            findings.add(tool(tool[0], tool[1], tool[2], environment.getOrDefault("PATH", "")));
        }
        return findings;
    }

    private static Finding java() {
        String version = Runtime.version().toString();
        return Runtime.version().feature() >= 25
                ? new Finding(Mark.GOOD, "java", version + " in " + System.getProperty("java.home", "?"), "")
                : new Finding(Mark.BAD, "java", version, "ballast needs Java 25 or newer");
    }

    private static Finding kernel() {
        String release = System.getProperty("os.version", "?");
        String[] parts = release.split("[.-]", -1);
        boolean old = parts.length < 2 || number(parts[0]) * 1000 + number(parts[1]) < 5010;
        return old
                ? new Finding(Mark.BAD, "kernel", release, "Linux 5.10 or newer is needed")
                : new Finding(Mark.GOOD, "kernel", release, "");
    }

    private static void capabilities(List<Finding> findings) {
        long mask = firstLine("/proc/self/status", "CapEff:")
                .map(hex -> Long.parseUnsignedLong(hex, 16))
                .orElse(0L);
        for (Capability capability : Capability.values()) {
            boolean has = (mask >>> capability.bit & 1) != 0;
            findings.add(new Finding(
                    has ? Mark.GOOD : Mark.POOR,
                    "CAP_" + capability.name(),
                    has ? "yes" : "no: cannot " + capability.use,
                    ""));
        }
    }

    private static void limits(List<Finding> findings) {
        long files = firstLine("/proc/self/limits", "Max open files")
                .map(rest -> rest.split(" +", -1))
                .map(columns -> columns.length > 1 ? columns[1] : columns[0])
                .map(hard -> hard.equals("unlimited") ? Long.MAX_VALUE : number(hard))
                .orElse(0L);
        findings.add(
                files >= 65536
                        ? new Finding(Mark.GOOD, "open files", "up to " + files, "")
                        : new Finding(
                                Mark.POOR,
                                "open files",
                                "up to " + files,
                                "two are needed for each proxied connection; raise LimitNOFILE= or nofile in"
                                        + " /etc/security/limits.conf"));
        long backlog = setting("net.core.somaxconn").map(DoctorVerb::number).orElse(0L);
        findings.add(
                backlog >= 4096
                        ? new Finding(Mark.GOOD, "listen queue", "up to " + backlog, "")
                        : new Finding(
                                Mark.POOR,
                                "listen queue",
                                "up to " + backlog,
                                "connections wait there while a worker is replaced: sysctl -w"
                                        + " net.core.somaxconn=4096"));
    }

    private static Finding xdp() {
        List<String> missing = EngineSupport.missingForXdp();
        return missing.isEmpty()
                ? new Finding(Mark.GOOD, "engine xdp", "can be used", "")
                : new Finding(
                        Mark.POOR,
                        "engine xdp",
                        "cannot be used",
                        String.join("; ", missing) + ". The engine userspace needs none of it");
    }

    /** Which engine each service would get here. */
    private static void engines(Path file, List<Finding> findings) throws Failure {
        Description description = new DescriptionReader()
                .read(file)
                .description()
                .orElseThrow(() -> Failure.usage(file + " cannot be used; `ballast check " + file + "` explains why"));
        for (EngineSupport.Verdict verdict :
                EngineSupport.verdicts(description.services().values())) {
            findings.add(new Finding(
                    verdict.works() ? Mark.GOOD : Mark.BAD,
                    "service " + verdict.service(),
                    "engine " + verdict.engine().yamlName() + (verdict.works() ? "" : ", which cannot be had") + ": "
                            + verdict.why(),
                    ""));
        }
    }

    private static Finding tool(String name, String debianPackage, String use, String path) {
        for (String directory : (path + ":/usr/sbin:/sbin").split(":", -1)) {
            if (!directory.isEmpty() && Files.isExecutable(Path.of(directory, name))) {
                return new Finding(Mark.GOOD, name, directory + "/" + name, "");
            }
        }
        return new Finding(
                Mark.POOR, name, "not installed: " + use, "install it with: apt-get install " + debianPackage);
    }

    /** What follows the label in the first line that begins with it. */
    private static Optional<String> firstLine(String file, String label) {
        return read(file)
                .flatMap(text -> text.lines()
                        .filter(line -> line.startsWith(label))
                        .map(line -> line.substring(label.length()).strip())
                        .findFirst());
    }

    private static Optional<String> read(String file) {
        try {
            return Optional.of(Files.readString(Path.of(file)).strip());
        } catch (IOException e) {
            // Some containers hide parts of /proc; the finding says 0 or no then.
            return Optional.empty();
        }
    }

    /** A setting below /proc/sys, in one read: the kernel gives a number whole or not at all. */
    private static Optional<String> setting(String name) {
        ByteBuffer bytes = ByteBuffer.allocate(4096);
        try (SeekableByteChannel file = Files.newByteChannel(Path.of("/proc/sys", name.split("\\.", -1)))) {
            int length = Math.max(0, file.read(bytes));
            return Optional.of(new String(bytes.array(), 0, length, StandardCharsets.US_ASCII).strip());
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private static long number(String text) {
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            return 0;
        }
    }
}
