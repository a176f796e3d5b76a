package io.ballast.lab.demo;

import com.google.gson.JsonObject;
import io.ballast.cli.Failure;
import io.ballast.cli.Json;
import io.ballast.cli.Table;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.drill.Drill;
import io.ballast.lab.drill.Report;
import io.ballast.lab.farm.Daemon;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.RouterRole;
import io.ballast.lab.load.Sample;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Follows a drill: tells its steps, and shows beside the client's samples what the director says of its servers; where several
 * share the service's address, the one that has it.
 */
final class Watch implements Drill.Watcher {
    private static final int SAMPLES_A_SECOND = 10;
    private static final int BAR = 24;

    private final Lab lab;
    private final ServiceSpec service;
    private final Screen screen;
    private final Terminal terminal;
    private final Deque<Sample> lastSecond = new ArrayDeque<>();
    private @Nullable Daemon only;
    private long ticks;
    private long answered;
    private long failed;

    Watch(Lab lab, ServiceSpec service, Screen screen, Terminal terminal) {
        this.lab = lab;
        this.service = service;
        this.screen = screen;
        this.terminal = terminal;
    }

    /**
     * From now on the table is shown.
     *
     * @param director whom to ask where no address is shared
     */
    synchronized void begin(Daemon director) {
        this.only = director;
    }

    /** Leaves the table as it is. */
    synchronized void end() {
        only = null;
        screen.keep();
    }

    @Override
    public void step(String what) {
        screen.say(clock() + terminal.style(Style.BOLD, what));
    }

    @Override
    public void left(String server, Duration after) {
        screen.say(clock() + server + " is out " + Report.time(after) + " later: its share goes to the others");
    }

    @Override
    public void back(String server, Duration after) {
        screen.say(clock() + server + " is in again " + Report.time(after) + " later");
    }

    @Override
    public void taken(String node, Duration after) {
        screen.say(clock() + node + " has the address " + Report.time(after) + " later: clients' packets go there now");
    }

    @Override
    public void settled(String node, Duration after) {
        screen.say(clock() + node + " has the address again " + Report.time(after)
                + " later: it started, looked at the servers, and is the better one");
    }

    @Override
    public void story(List<String> lines) {
        // It was told while it happened.
    }

    @Override
    public synchronized void sample(Sample sample) {
        if (only == null) {
            return;
        }
        answered += sample.ok();
        failed += sample.failed() + sample.sorry();
        lastSecond.addLast(sample);
        while (lastSecond.size() > SAMPLES_A_SECOND) {
            lastSecond.removeFirst();
        }
        ticks++;
        if (ticks % (screen.live() ? 3 : SAMPLES_A_SECOND) == 0) {
            show(only);
        }
    }

    private void show(Daemon fallback) {
        List<RouterRole> roles = lab.roles();
        Daemon director = lab.daemons().stream()
                .filter(daemon -> roles.stream()
                        .anyMatch(role -> role.master() && role.node().equals(daemon.node())))
                .findFirst()
                .orElse(fallback);
        Map<String, JsonObject> servers = new LinkedHashMap<>();
        try {
            for (JsonObject server :
                    Json.objects(director.control().get("/v1/services/" + service.name()), "servers")) {
                servers.put(Json.text(server, "name"), server);
            }
        } catch (Failure e) {
            return; // the next sample is a tenth of a second away
        }
        if (screen.live()) {
            screen.table(table(servers, roles));
        } else {
            StringBuilder line = new StringBuilder(clock());
            roles.forEach(role ->
                    line.append(role.node()).append(' ').append(role.role()).append("   "));
            servers.forEach((name, server) -> line.append(name)
                    .append(' ')
                    .append(Json.text(server, "state"))
                    .append(String.format(Locale.ROOT, " %d/s   ", rate(name))));
            screen.plain(line.append(String.format(Locale.ROOT, "answered %,d, failed %,d", answered, failed))
                    .toString());
        }
    }

    private List<String> table(Map<String, JsonObject> servers, List<RouterRole> roles) {
        Table table = new Table("SERVER", "STATE", ">ANSWERS/S", "SHARE", "LAST CHECK");
        long all = Math.max(1, servers.keySet().stream().mapToLong(this::rate).sum());
        servers.forEach((name, server) -> {
            long rate = rate(name);
            List<JsonObject> checks = Json.objects(server, "checks");
            table.row(
                    name,
                    Json.text(server, "state"),
                    Long.toString(rate),
                    "#".repeat((int) (rate * BAR / all)) + ".".repeat(BAR - (int) (rate * BAR / all)),
                    checks.isEmpty() ? "" : cut(Json.text(checks.getFirst(), "reason")));
        });
        List<String> lines = new ArrayList<>();
        lines.add("");
        if (!roles.isEmpty()) {
            lines.add("  "
                    + roles.stream()
                            .map(role -> role.node() + " "
                                    + (role.master()
                                            ? terminal.style(Style.GREEN, "has the address")
                                            : "is " + role.role()))
                            .collect(Collectors.joining(", ")));
            lines.add("");
        }
        for (String line : table.lines()) {
            lines.add("  " + coloured(line));
        }
        Duration slowest =
                lastSecond.stream().map(Sample::max).max(Duration::compareTo).orElse(Duration.ZERO);
        lines.add(String.format(
                Locale.ROOT,
                "  %s: answered %,d, failed %s, slowest of the last second %s",
                lab.client().name(),
                answered,
                failed == 0 ? terminal.style(Style.GREEN, "0") : terminal.style(Style.RED, String.valueOf(failed)),
                Report.time(slowest)));
        return lines;
    }

    private String coloured(String line) {
        return line.contains(" down ") ? terminal.style(Style.RED, line) : line;
    }

    private static String cut(String text) {
        return text.length() <= 50 ? text : text.substring(0, 47) + "...";
    }

    private long rate(String server) {
        return lastSecond.stream()
                .mapToLong(s -> s.servers().getOrDefault(server, 0L))
                .sum();
    }

    private synchronized String clock() {
        return String.format(Locale.ROOT, "%5.1f s  ", ticks / (double) SAMPLES_A_SECOND);
    }
}
