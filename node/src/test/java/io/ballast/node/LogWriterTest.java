package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.event.Event;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

final class LogWriterTest {
    private final List<String> shown = new CopyOnWriteArrayList<>();

    private static Event event(int number) {
        return new Event(
                number, Instant.EPOCH, "node", Event.Severity.INFO, "type", "subject", "event " + number, Map.of());
    }

    @Test
    void everythingIsShownInOrderBeforeItIsClosed() {
        LogWriter log = new LogWriter(event -> shown.add(event.message()), shown::add);
        for (int i = 0; i < 1_000; i++) {
            log.accept(event(i));
        }
        log.close();
        assertThat(shown).hasSize(1_000).startsWith("event 0", "event 1").endsWith("event 999");
    }

    @Test
    void aReaderThatHasStoppedHoldsUpNobodyAndIsToldWhatItMissed() throws InterruptedException {
        CountDownLatch first = new CountDownLatch(1);
        CountDownLatch reads = new CountDownLatch(1);
        LogWriter log = new LogWriter(
                event -> {
                    shown.add(event.message());
                    first.countDown();
                    awaitQuietly(reads);
                },
                shown::add);
        log.accept(event(0));
        first.await();
        for (int i = 1; i <= LogWriter.MOST_WAITING + 5; i++) {
            log.accept(event(i));
        }
        reads.countDown();
        log.close();
        assertThat(shown)
                .hasSize(LogWriter.MOST_WAITING + 2)
                .endsWith("5 events were not shown, because their reader was too slow; ballast events has them");
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
