package io.ballast.bench;

import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import java.nio.charset.StandardCharsets;

/** Reading large descriptions: the first time in a JVM, and again when it is warm. */
final class DescriptionArea implements Area {
    private static final int[] SERVICES = {100, 1_000, 10_000};
    private static final int SERVERS = 10;

    @Override
    public String name() {
        return "description";
    }

    @Override
    public String summary() {
        return "reading and checking descriptions of up to 10,000 services with 10 servers each";
    }

    @Override
    public void run(Effort effort, Sheet sheet) throws InterruptedException {
        for (int services : SERVICES) {
            String size = Sample.number(services) + " services x " + SERVERS;
            sheet.measure(size, "ms", () -> {
                byte[] text = text(services, 80);
                byte[] changed = text(services, 81);
                double[] full = new double[effort.rounds()];
                double[] again = new double[effort.rounds()];
                for (int round = 0; round < effort.rounds(); round++) {
                    DescriptionReader reader = new DescriptionReader();
                    full[round] = millis(reader, text);
                    again[round] = millis(reader, changed);
                }
                sheet.add(Row.info(size + ", read", "ms", Sample.of(full)));
                sheet.add(Row.info(size + ", one line changed", "ms", Sample.of(again)));
                sheet.note(size + ": " + text.length / 1024 + " KiB of YAML; the first reading in this JVM took "
                        + Sample.number(full[0]) + " ms");
                sheet.progress(size + ": " + Sample.of(full).text() + " ms");
            });
        }
    }

    private static double millis(DescriptionReader reader, byte[] text) {
        long start = System.nanoTime();
        ReadResult result = reader.read("bench.yaml", text);
        double millis = (System.nanoTime() - start) / 1e6;
        if (result.description().isEmpty()) {
            throw new IllegalStateException("the benchmark's own description is wrong: "
                    + result.problems().getFirst());
        }
        return millis;
    }

    /** A description of so many services; {@code lastPort} is the port of the very last server. */
    static byte[] text(int services, int lastPort) {
        StringBuilder yaml = new StringBuilder("name: bench\nservices:\n");
        for (int s = 0; s < services; s++) {
            yaml.append("  s")
                    .append(s)
                    .append(":\n    listen: 127.")
                    .append(1 + s / 62_500)
                    .append('.');
            yaml.append(s / 250 % 250).append('.').append(1 + s % 250).append(":8080\n    servers:\n");
            for (int r = 0; r < SERVERS; r++) {
                int n = s * SERVERS + r;
                int port = s == services - 1 && r == SERVERS - 1 ? lastPort : 80;
                yaml.append("      - 10.")
                        .append(n / 62_500)
                        .append('.')
                        .append(n / 250 % 250)
                        .append('.');
                yaml.append(1 + n % 250).append(':').append(port).append('\n');
            }
        }
        return yaml.toString().getBytes(StandardCharsets.UTF_8);
    }
}
