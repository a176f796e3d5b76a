package io.ballast.lab.load;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * The load generator as a process of its own, so that it can run in a client's network namespace and its garbage
 * collection and compilation disturb nobody. It takes one JSON object a line from its standard input and answers the
 * same way; it ends with its input, and so with the process that started it.
 *
 * <ul>
 *   <li>{@code {"do":"warm","plan":PLAN,"millis":2000}}: sends without counting, until the code is compiled; answers
 *       {@code {"type":"warmed"}} and what came of it
 *   <li>{@code {"do":"start","plan":PLAN}}: begins to count; from then on {@code {"type":"sample"}} ten times a second
 *   <li>{@code {"do":"stop"}}: answers {@code {"type":"result"}}
 * </ul>
 */
public final class LoadMain {
    private static final long SAMPLE_MILLIS = 100;

    private final PrintStream out;
    private @Nullable Run run;

    private LoadMain(PrintStream out) {
        this.out = out;
    }

    /** Takes no arguments. */
    public static void main(String[] args) throws IOException, InterruptedException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        new LoadMain(out).serve(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)));
        System.exit(0);
    }

    private void serve(BufferedReader in) throws IOException, InterruptedException {
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonObject command = JsonParser.parseString(line).getAsJsonObject();
            switch (command.get("do").getAsString()) {
                case "warm" -> warm(command);
                case "start" -> run = new Run(LoadPlan.fromJson(command.getAsJsonObject("plan")));
                case "stop" -> stop();
                default -> throw new IOException("unknown command: " + line);
            }
        }
    }

    private void warm(JsonObject command) throws IOException, InterruptedException {
        try (LoadGenerator generator = new LoadGenerator(LoadPlan.fromJson(command.getAsJsonObject("plan")))) {
            Thread.sleep(Duration.ofMillis(command.get("millis").getAsLong()));
            answer("warmed", generator.stop().toJson());
        }
    }

    private void stop() throws InterruptedException {
        if (run != null) {
            answer("result", run.end().toJson());
            run = null;
        }
    }

    private void answer(String type, JsonObject json) {
        json.addProperty("type", type);
        // One write a line, because samples come from another thread.
        out.print(json + "\n");
        out.flush();
    }

    /** A run that is counted, and the thread that tells of it. */
    private final class Run {
        private final LoadGenerator generator;
        private final Thread sampler;
        private volatile boolean ending;

        Run(LoadPlan plan) {
            generator = new LoadGenerator(plan);
            sampler = Thread.ofPlatform().name("sampler").daemon().start(this::sample);
        }

        private void sample() {
            long next = System.nanoTime();
            while (!ending) {
                next += SAMPLE_MILLIS * 1_000_000;
                try {
                    Thread.sleep(Duration.ofNanos(Math.max(0, next - System.nanoTime())));
                } catch (InterruptedException e) {
                    return;
                }
                answer("sample", generator.sample().toJson());
            }
        }

        LoadResult end() throws InterruptedException {
            try (generator) {
                LoadResult result = generator.stop();
                ending = true;
                sampler.join();
                return result;
            }
        }
    }
}
