package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** When it is said that a service is up. */
class UpNewsTest {
    private static final Instant FIRST = Instant.parse("2026-01-01T00:00:00Z");
    private static final Instant LATER = FIRST.plusSeconds(5);

    private final UpNews news = new UpNews();
    private final List<String> told = new ArrayList<>();

    private static ServiceSpec web(String engine) {
        return new DescriptionReader()
                .read("ballast.yaml", """
                        services:
                          web: { listen: "192.0.2.80:80/tcp", engine: %s, servers: ["192.0.2.11:80"] }
                        """.formatted(engine))
                .description()
                .orElseThrow()
                .services()
                .firstEntry()
                .getValue();
    }

    private void happened(String engine, String type, boolean listens) {
        news.happened(FIRST, web(engine), type, listens, when -> told.add(type + " " + when));
    }

    @Test
    void aServiceThatMayBeRefusedIsUpOnceItListens() {
        happened("xdp", "service.up", false);
        assertThat(told).isEmpty();
        news.listens(LATER, "other");
        assertThat(told).isEmpty();
        news.listens(LATER, "web");
        news.listens(LATER, "web");
        assertThat(told).containsExactly("service.up " + LATER);
    }

    @Test
    void whatListensAlreadyIsToldAtOnce() {
        happened("xdp", "service.up", true);
        happened("userspace", "service.up", false);
        happened("auto", "service.down", false);
        assertThat(told).containsExactly("service.up " + FIRST, "service.up " + FIRST, "service.down " + FIRST);
    }

    @Test
    void whatIsDownAgainBeforeItListensWasNeverUp() {
        happened("auto", "service.up", false);
        happened("auto", "service.down", false);
        news.listens(LATER, "web");
        assertThat(told).containsExactly("service.down " + FIRST);
    }

    @Test
    void anotherDescriptionKeepsTheNewsOfServicesThatStay() {
        happened("xdp", "service.up", false);
        news.retain(Set.of("web", "dns"));
        news.listens(LATER, "web");
        assertThat(told).containsExactly("service.up " + LATER);
        happened("xdp", "service.up", false);
        news.retain(Set.of("dns"));
        news.listens(LATER, "web");
        assertThat(told).hasSize(1);
    }
}
