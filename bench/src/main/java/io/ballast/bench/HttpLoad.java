package io.ballast.bench;

import io.ballast.cli.Failure;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * HTTP load by wrk, on a processor of its own.
 *
 * @param requests answered
 * @param perSecond of them
 * @param p99Millis latency under saturation
 */
record HttpLoad(long requests, double perSecond, double p99Millis) {
    private static final Pattern REQUESTS = Pattern.compile("(\\d+) requests in");
    private static final Pattern RATE = Pattern.compile("Requests/sec:\\s+([\\d.]+)");
    private static final Pattern P99 = Pattern.compile("99%\\s+([\\d.]+)(us|ms|s)");
    private static final Pattern ERRORS = Pattern.compile("(Socket errors:.*|Non-2xx.*)");

    /**
     * Asks the URL for so many seconds over so many connections.
     *
     * @param close whether each request has a connection of its own
     * @throws Failure wrk counted an error: the figures would mean nothing
     */
    static HttpLoad run(Programs programs, String url, int connections, int seconds, boolean close)
            throws IOException, InterruptedException, Failure {
        List<String> command = new ArrayList<>(List.of(
                Programs.need("wrk", "wrk").toString(),
                "-t1",
                "-c" + connections,
                "-d" + seconds + "s",
                "--latency",
                "--timeout",
                "20s"));
        if (close) {
            command.addAll(List.of("-H", "Connection: close"));
        }
        command.add(url);
        String output = programs.run("1", seconds + 60, command);
        Matcher errors = ERRORS.matcher(output);
        if (errors.find()) {
            throw Failure.failed("load on " + url + ": " + errors.group());
        }
        return new HttpLoad(
                Long.parseLong(group(REQUESTS, output, 1)),
                Double.parseDouble(group(RATE, output, 1)),
                Double.parseDouble(group(P99, output, 1))
                        * switch (group(P99, output, 2)) {
                            case "us" -> 1e-3;
                            case "ms" -> 1;
                            default -> 1e3;
                        });
    }

    private static String group(Pattern pattern, String text, int group) throws Failure {
        Matcher matcher = pattern.matcher(text);
        if (!matcher.find()) {
            throw Failure.failed("wrk printed something unexpected: " + text.strip());
        }
        return matcher.group(group);
    }
}
