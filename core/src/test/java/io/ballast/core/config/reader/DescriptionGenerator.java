package io.ballast.core.config.reader;

import java.nio.charset.StandardCharsets;

/** Writes large descriptions for tests and measurements. */
final class DescriptionGenerator {
    private DescriptionGenerator() {}

    /**
     * A description.
     *
     * @param maps servers as maps with a name and a weight, instead of {@code host:port}
     */
    static String text(int services, int servers, boolean maps) {
        var yaml = new StringBuilder("name: large\nchecks:\n  page: { type: http, path: /index.html }\nservices:\n");
        for (int s = 0; s < services; s++) {
            yaml.append("  s%05d:\n    listen: 127.%d.%d.%d:8080\n    checks: [page]\n    servers:\n"
                    .formatted(s, 1 + s / 62_500, s / 250 % 250, 1 + s % 250));
            for (int r = 0; r < servers; r++) {
                int n = s * servers + r;
                String address = "10.%d.%d.%d:80".formatted(n / 62_500, n / 250 % 250, 1 + n % 250);
                yaml.append(
                        maps
                                ? "      - name: www%d\n        address: %s\n        weight: %d\n"
                                        .formatted(r, address, 1 + r % 4)
                                : "      - " + address + "\n");
            }
        }
        return yaml.toString();
    }

    /** Reads such a description and an edit of it some times and prints how long each took. */
    public static void main(String[] args) {
        boolean maps = args.length > 2 && args[2].equals("maps");
        String text = text(Integer.parseInt(args[0]), Integer.parseInt(args[1]), maps);
        byte[] one = text.getBytes(StandardCharsets.UTF_8);
        byte[] two = text.replace("0.0.7:80", "0.0.7:81").getBytes(StandardCharsets.UTF_8);
        byte[] renamed = text.replace("name: large", "name: huge").getBytes(StandardCharsets.UTF_8);
        System.out.printf("%d KiB%n", one.length / 1024);
        var reader = new DescriptionReader();
        for (int round = 0; round < 3; round++) {
            time(reader, "whole", one);
            time(reader, "one server changed", two);
            time(reader, "changed back", one);
            time(reader, "whole, as the name changed", renamed);
        }
    }

    private static void time(DescriptionReader reader, String what, byte[] text) {
        var threads = java.lang.management.ManagementFactory.getThreadMXBean();
        long cpu = threads.getCurrentThreadCpuTime();
        long start = System.nanoTime();
        ReadResult result = reader.read("t", text);
        System.out.printf(
                "%-28s %6.1f ms, %6.1f ms of CPU, %d services, %d whole readings%n",
                what,
                (System.nanoTime() - start) / 1e6,
                (threads.getCurrentThreadCpuTime() - cpu) / 1e6,
                result.description().orElseThrow().services().size(),
                reader.wholeReadings());
    }
}
