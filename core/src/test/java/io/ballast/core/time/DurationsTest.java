package io.ballast.core.time;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.Sizes;
import io.ballast.core.config.Addresses;
import java.net.InetAddress;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The text forms of durations, sizes and addresses. */
class DurationsTest {

    @ParameterizedTest
    @CsvSource({
        "100ms, 100, 100ms",
        "1s, 1000, 1s",
        "1500ms, 1500, 1500ms",
        "60s, 60000, 1m",
        "5m, 300000, 5m",
        "24h, 86400000, 1d",
        "0s, 0, 0s",
        "90s, 90000, 90s"
    })
    void aDurationIsReadAndPrintedInItsShortestForm(String text, long millis, String printed) {
        Duration duration = Durations.parse(text).orElseThrow();
        assertThat(duration).isEqualTo(Duration.ofMillis(millis));
        assertThat(Durations.print(duration)).isEqualTo(printed);
        assertThat(Durations.parse(printed)).contains(duration);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "s", "3", "-1s", "1.5s", "1 s", "1S", "1w", "1s1s", "9999999999999s", "\u0663s"})
    void whatIsNoDurationIsRefused(String text) {
        assertThat(Durations.parse(text)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"512B, 512, 512B", "1024B, 1024, 1KiB", "64KiB, 65536, 64KiB", "1MiB, 1048576, 1MiB", "0B, 0, 0B"})
    void aSizeIsReadAndPrintedInItsShortestForm(String text, long bytes, String printed) {
        assertThat(Sizes.parse(text)).hasValue(bytes);
        assertThat(Sizes.print(bytes)).isEqualTo(printed);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "B", "1", "1KB", "1k", "-1B", "1.5KiB", "1 KiB", "9999999TiB"})
    void whatIsNoSizeIsRefused(String text) {
        assertThat(Sizes.parse(text)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({
        "192.0.2.1, 192.0.2.1",
        "2001:DB8:0:0:1:0:0:1, 2001:db8::1:0:0:1",
        "::, ::",
        "::1, ::1",
        "fe80::, fe80::",
        "1:0:2:0:3:0:4:0, 1:0:2:0:3:0:4:0",
        "2001:db8:0:1:1:1:1:1, 2001:db8:0:1:1:1:1:1"
    })
    void anAddressIsPrintedAsRfc5952Says(String text, String printed) {
        InetAddress address = Addresses.parse(text).orElseThrow();
        assertThat(Addresses.print(address)).isEqualTo(printed);
        assertThat(Addresses.parse(printed)).contains(address);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "1.2.3",
                "1.2.3.4.5",
                "256.1.1.1",
                "01.2.3.4",
                "1.2.3.4 ",
                "::g",
                "fe80::1%eth0",
                "[::1]",
                "1:2:3:4:5:6:7:8:9",
                "localhost",
                "0x7f.1.1.1"
            })
    void whatIsNoLiteralAddressIsRefused(String text) {
        assertThat(Addresses.parse(text)).isEmpty();
    }
}
