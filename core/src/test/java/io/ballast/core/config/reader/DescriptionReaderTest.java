package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ServiceSpec;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class DescriptionReaderTest {
    private static final Path FARM = Path.of("../examples/farm.yaml");

    @Test
    void theFarmOfTheExampleIsRead() {
        ReadResult result = new DescriptionReader().read(FARM);
        assertThat(result.problems()).isEmpty();
        Description farm = result.description().orElseThrow();
        assertThat(farm.name()).isEqualTo("farm");
        assertThat(farm.nodes().sequencedKeySet()).containsExactly("director", "www1", "www2", "www3", "client");
        ServiceSpec web = Objects.requireNonNull(farm.services().get("web"));
        assertThat(web.listen().toString()).isEqualTo("[192.168.9.100:80/tcp, [fd00:9::100]:80/tcp]");
        assertThat(web.connectRetry()).isEqualTo(new ServiceSpec.ConnectRetry(2, 16384));
        assertThat(web.servers())
                .extracting(s -> s.name() + " " + s.address() + " " + s.weight())
                .containsExactly("www1 10.1.0.1:80 1", "www2 10.1.0.2:80 1", "www3 10.1.0.3:80 2");
        CheckSpec check = web.checks().getFirst();
        assertThat(check.name()).isEqualTo("http");
        assertThat(check.timeout()).isEqualTo(Duration.ofSeconds(1));
        assertThat(check.fall()).isEqualTo(2);
        assertThat(check.probe()).isInstanceOfSatisfying(ProbeSpec.Http.class, http -> {
            assertThat(http.path()).isEqualTo("/index.html");
            assertThat(http.statuses()).containsExactly(new ProbeSpec.StatusRange(200, 200));
            assertThat(http.body()).contains(new ProbeSpec.TextMatch("Test Page", false));
        });
        assertThat(web.servers()).allSatisfy(s -> assertThat(s.checks()).isSameAs(web.checks()));
    }
}
