package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Option;
import io.ballast.cli.Parameter;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** {@code ballast trace}: what is done with the packets of a service. */
public final class TraceVerb implements Verb {
    private static final DateTimeFormatter CLOCK = DateTimeFormatter.ofPattern("HH:mm:ss.SSSSSS", Locale.ROOT);

    /** What the daemon takes. */
    private static final long MAX_EVERY = Integer.MAX_VALUE;

    private static final long MAX_PACKETS = 1_000_000;
    private static final Duration MAX_TIME = Duration.ofHours(1);

    /** So long the daemon may take for its last word when the user interrupts. */
    private static final Duration PATIENCE = Duration.ofSeconds(2);

    private final Consumer<Runnable> interrupts;

    /** The verb, whose process sums up when it is interrupted. */
    public TraceVerb() {
        this(stop -> Runtime.getRuntime().addShutdownHook(new Thread(stop)));
    }

    /** One that hands to {@code interrupts} what is to be done when the user interrupts it. */
    public TraceVerb(Consumer<Runnable> interrupts) {
        this.interrupts = interrupts;
    }

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("trace", "Show where packets of a service go, and why")
                .describe("Of services of the engine xdp: one line for each packet that comes, with how its server was"
                        + " found and where it was sent, or why it was not. What stands first is what came; what it"
                        + " becomes stands behind \"sent as\". The trace ends by itself, or when you interrupt it, and costs"
                        + " the service nothing before and after. Answers of servers are seen with nat and fullnat only; others"
                        + " do not pass here.")
                .describe(
                        "How a server was found: by memory (the connection is known), slot (the hash of the client), base"
                                + " (the same, before the last change of the servers), turn, load, persistence (the client's"
                                + " server), quic-id, or fragment (as the first of its datagram). \"Passed\" means that the kernel of this machine deals with the packet as if"
                                + " there were no service.")
                .parameter(Parameter.required("service", ValueKind.SERVICE, "the virtual service"))
                .option(Option.value(
                        "--every", ValueKind.NUMBER, "N", "only one of so many packets, 1 or more (default: 1)"))
                .option(Option.value(
                                "--limit", ValueKind.NUMBER, "N", "end after so many, up to 1000000 (default: 100)")
                        .letter('n'))
                .option(Option.value(
                        "--for", ValueKind.DURATION, "DURATION", "end after so long, up to 1h (default: 1m)"))
                .option(ControlClient.SOCKET)
                .example("ballast trace web", "where the next hundred packets go")
                .example("ballast trace web --every 1000 --for 10s", "a sample of a busy service");
    }

    @Override
    public int run(Invocation call) throws Failure {
        long every = within(call, "--every", MAX_EVERY, 1);
        long limit = within(call, "--limit", MAX_PACKETS, 100);
        Duration time = call.duration("--for", Duration.ofMinutes(1));
        if (time.compareTo(Duration.ofMillis(1)) < 0 || time.compareTo(MAX_TIME) > 0) {
            throw Failure.usage("ballast trace: --for " + call.value("--for").orElse("")
                    + " is not between 1ms and 1h; start another trace where an hour is not enough");
        }
        String path = "/v1/services/" + ControlClient.encode(call.parameter("service")) + "/trace?every=" + every
                + "&limit=" + limit + "&millis=" + time.toMillis();
        Shown shown = new Shown(call);
        CountDownLatch over = new CountDownLatch(1);
        AtomicBoolean interrupted = new AtomicBoolean();
        try {
            ControlClient.of(call)
                    .lines(
                            path,
                            shown,
                            stop -> interrupts.accept(() -> {
                                interrupted.set(true);
                                stop.run();
                                await(over);
                            }));
            shown.end(interrupted.get());
        } finally {
            over.countDown();
        }
        return Exit.DONE;
    }

    private static long within(Invocation call, String option, long most, long otherwise) throws Failure {
        long given = call.number(option, otherwise);
        if (given < 1 || given > most) {
            throw Failure.usage("ballast trace: " + option + " " + given + " is not between 1 and " + most);
        }
        return given;
    }

    private static void await(CountDownLatch over) {
        try {
            if (!over.await(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
                // Then it ends without a last word: a daemon that hangs must not hold the user's terminal.
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Writes what the daemon tells, and at least how many packets that were. */
    private static final class Shown implements Consumer<JsonObject> {
        private final Invocation call;
        private long packets;
        private boolean ended;
        private boolean abandoned;

        Shown(Invocation call) {
            this.call = call;
        }

        @Override
        public void accept(JsonObject record) {
            Terminal terminal = call.terminal();
            boolean last = record.has("ended");
            abandoned |= Json.text(record, "ended").equals("engine");
            if (call.json()) {
                terminal.json(record);
            } else if (abandoned) {
                packets = Json.number(record, "told");
            } else if (last) {
                terminal.err().println(ended(record));
            } else {
                terminal.out().println(line(record, terminal));
            }
            terminal.flush();
            ended |= last;
            packets += last ? 0 : 1;
        }

        /** The daemon says nothing more. */
        void end(boolean interrupted) throws Failure {
            String shown = count(packets) + " shown; ";
            if (abandoned) {
                throw Failure.failed(shown + "the daemon ended, or opened the engine xdp anew: `ballast status` says"
                        + " whether it is there, and then begin another trace");
            }
            if (!ended && !interrupted) {
                throw Failure.failed(shown + "the daemon ended before it could sum up");
            }
            if (!ended && !call.json()) {
                call.terminal().err().println(shown + "the daemon ended before it could sum up");
            }
        }
    }

    private static String count(long packets) {
        return packets == 1 ? "1 packet" : packets + " packets";
    }

    private static String ended(JsonObject record) {
        long lost = Json.number(record, "lost");
        return Json.number(record, "told") + " of " + count(Json.number(record, "seen")) + " shown"
                + switch (Json.text(record, "ended")) {
                    case "time" -> ", until the time was over";
                    case "client" -> ", until it was interrupted";
                    default -> "";
                }
                + (lost == 0 ? "" : "; " + lost + " more came too fast to be told of: --every N samples");
    }

    static String line(JsonObject record, Terminal terminal) {
        StringBuilder line = new StringBuilder();
        line.append(time(record))
                .append(' ')
                .append(pad(Json.text(record, "interface"), 8))
                .append(error(record) ? "ICMP error about " : "")
                .append(Json.text(record, "protocol").toUpperCase(Locale.ROOT))
                .append(' ')
                .append(Json.text(record, "from"))
                .append(" > ")
                .append(Json.text(record, "to"))
                .append("  ")
                .append(error(record) ? "" : packet(record) + ", ")
                .append(Json.number(record, "length"))
                .append(" bytes");
        String server = Json.text(record, "server");
        if (!server.isEmpty()) {
            line.append(Json.truth(record, "answer") ? ": answer of " : ": by " + Json.text(record, "chosen") + " to ")
                    .append(server);
        }
        return line.append(": ").append(outcome(record, terminal)).toString();
    }

    private static String outcome(JsonObject record, Terminal terminal) {
        String why = Json.text(record, "why");
        String verdict = Json.text(record, "verdict");
        if (verdict.equals("passed")) {
            return terminal.style(Style.YELLOW, "passed to the kernel") + (why.isEmpty() ? "" : ", " + why);
        }
        if (verdict.equals("dropped")) {
            return terminal.style(Style.RED, "dropped") + (why.isEmpty() ? "" : ", " + why);
        }
        boolean answer = Json.truth(record, "answer");
        if (!record.has(answer ? "outTo" : "outInterface")) {
            return why.isEmpty() ? "sent" : why;
        }
        String as = record.has("outTo")
                ? (error(record) ? " about " : " as ")
                        + Json.text(record, "outFrom")
                        + " > "
                        + Json.text(record, "outTo")
                : record.has("tunnel") ? " in a tunnel to " + Json.text(record, "tunnel") : "";
        String way = answer
                ? " to the client" + as
                : as + " by " + Json.text(record, "outInterface") + " to " + Json.text(record, "mac");
        return "sent" + way + (why.isEmpty() ? "" : "; " + why);
    }

    private static boolean error(JsonObject record) {
        return Json.text(record, "packet").equals("icmp-error");
    }

    /** What kind of packet it is; which part of a datagram may stand behind a comma. */
    private static String packet(JsonObject record) {
        String what = Json.text(record, "packet");
        int comma = what.indexOf(',');
        String kind = comma < 0 ? what : what.substring(0, comma);
        String shown = switch (kind) {
            case "syn", "syn-ack", "fin", "rst" -> kind.toUpperCase(Locale.ROOT);
            case "goes-on" -> Json.text(record, "protocol").equals("tcp") ? "ACK" : "datagram";
            case "cookie" -> "ACK of a SYN cookie";
            default -> kind;
        };
        return comma < 0 ? shown : shown + what.substring(comma);
    }

    private static String time(JsonObject record) {
        try {
            return CLOCK.format(Instant.parse(Json.text(record, "time")).atZone(ZoneId.systemDefault()));
        } catch (DateTimeParseException e) {
            // Better shown than hidden.
            return Json.text(record, "time");
        }
    }

    private static String pad(String text, int width) {
        return text + " ".repeat(Math.max(1, width - text.length()));
    }
}
