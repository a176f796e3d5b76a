package io.ballast.health;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.health.state.Seeds;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DueQueueTest {

    private static final class Thing extends DueQueue.Item {}

    @Test
    void theFirstIsAlwaysTheEarliestWhateverIsAddedMovedAndRemoved() {
        for (int n = 1; n <= Seeds.runs(50); n++) {
            long seed = Seeds.seed(n);
            Random random = new Random(seed);
            long base = random.nextBoolean() ? 0 : Long.MAX_VALUE - 50; // the clock may overflow
            DueQueue<Thing> queue = new DueQueue<>();
            List<Thing> in = new ArrayList<>();
            for (int step = 0; step < 1000; step++) {
                switch (random.nextInt(4)) {
                    case 0, 1 -> {
                        Thing thing = new Thing();
                        queue.put(thing, base + random.nextInt(100));
                        in.add(thing);
                    }
                    case 2 -> {
                        if (!in.isEmpty()) {
                            queue.put(in.get(random.nextInt(in.size())), base + random.nextInt(100));
                        }
                    }
                    default -> {
                        if (!in.isEmpty()) {
                            Thing gone = in.remove(random.nextInt(in.size()));
                            queue.remove(gone);
                            queue.remove(gone);
                        }
                    }
                }
                assertThat(queue.size()).as("seed %d step %d", seed, step).isEqualTo(in.size());
                Thing first = queue.first();
                if (first == null) {
                    assertThat(in).isEmpty();
                } else {
                    long earliest = in.stream()
                            .map(DueQueue.Item::dueAt)
                            .min(Comparator.comparingLong(due -> due - base))
                            .orElseThrow();
                    assertThat(first.dueAt()).as("seed %d step %d", seed, step).isEqualTo(earliest);
                }
            }
            long last = base;
            Thing next;
            while ((next = queue.first()) != null) {
                assertThat(next.dueAt() - last).isNotNegative();
                last = next.dueAt();
                queue.remove(next);
            }
        }
    }
}
