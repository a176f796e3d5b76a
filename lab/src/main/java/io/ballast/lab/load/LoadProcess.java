package io.ballast.lab.load;

import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** The near end of a load generator that runs as a process of its own ({@link LoadMain}). */
public final class LoadProcess implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final Process process;
    private final Writer commands;
    private final BlockingQueue<JsonObject> answers = new LinkedBlockingQueue<>();
    private final Consumer<Sample> samples;

    /**
     * Starts the process.
     *
     * @param builder runs {@link LoadMain}, where and how the caller likes; its standard error is the caller's affair
     * @param samples is given what ended, ten times a second, on a thread of its own
     */
    public LoadProcess(ProcessBuilder builder, Consumer<Sample> samples) throws IOException {
        this.samples = samples;
        process = builder.start();
        commands = process.outputWriter(StandardCharsets.UTF_8);
        Thread.ofVirtual().name("load answers").start(this::read);
    }

    /** Sends without counting, for so long, and waits for the end of it. */
    public LoadResult warm(LoadPlan plan, Duration duration) throws IOException, InterruptedException {
        JsonObject command = command("warm", plan);
        command.addProperty("millis", duration.toMillis());
        tell(command);
        return await("warmed", duration.plus(plan.timeout()));
    }

    /** Begins a run that is counted. */
    public void start(LoadPlan plan) throws IOException {
        tell(command("start", plan));
    }

    /** Ends the run and waits for the requests under way. */
    public LoadResult stop(LoadPlan plan) throws IOException, InterruptedException {
        JsonObject command = new JsonObject();
        command.addProperty("do", "stop");
        tell(command);
        return await("result", plan.timeout());
    }

    /** Ends the process. */
    @Override
    public void close() {
        process.destroyForcibly();
    }

    private static JsonObject command(String name, LoadPlan plan) {
        JsonObject command = new JsonObject();
        command.addProperty("do", name);
        command.add("plan", plan.toJson());
        return command;
    }

    private void tell(JsonObject command) throws IOException {
        commands.write(command + "\n");
        commands.flush();
    }

    private LoadResult await(String type, Duration expected) throws IOException, InterruptedException {
        JsonObject answer = answers.poll(expected.plus(PATIENCE).toMillis(), TimeUnit.MILLISECONDS);
        if (answer == null || !answer.get("type").getAsString().equals(type)) {
            throw new IOException("the load generator (pid " + process.pid() + ") "
                    + (process.isAlive() ? "does not answer" : "ended by itself; its log says why"));
        }
        return LoadResult.fromJson(answer);
    }

    private void read() {
        try (BufferedReader in =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                JsonObject json = JsonParser.parseString(line).getAsJsonObject();
                if (json.get("type").getAsString().equals("sample")) {
                    samples.accept(Sample.fromJson(json));
                } else {
                    answers.add(json);
                }
            }
        } catch (IOException | JsonParseException e) {
            // The process has been ended, or died in the middle of a line.
        }
        JsonObject end = new JsonObject();
        end.addProperty("type", "ended");
        answers.add(end);
    }
}
