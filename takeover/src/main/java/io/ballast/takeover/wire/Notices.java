package io.ballast.takeover.wire;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * What is wrong among those that are heard. It is found with every advertisement anew, so what has not been found for a
 * while is over. Whoever is on the network can cause these, so there are never more than a few, and few are told.
 */
final class Notices {
    private static final int MOST = 16;
    private static final int MOST_TOLD = 16;
    private static final long TELLING = TimeUnit.MINUTES.toNanos(10);

    private final Map<String, Long> found = new LinkedHashMap<>();
    private final ArrayDeque<Long> told = new ArrayDeque<>();

    /** It is so now; whether that is worth telling. */
    boolean found(String text, long now) {
        if (found.replace(text, now) != null || found.size() == MOST) {
            return false;
        }
        found.put(text, now);
        while (!told.isEmpty() && now - told.getFirst() > TELLING) {
            told.removeFirst();
        }
        if (told.size() == MOST_TOLD) {
            return false;
        }
        told.addLast(now);
        return true;
    }

    /** Forgets, and returns, what has not been found for so long. */
    List<String> over(long now, long patience) {
        List<String> over = new ArrayList<>();
        found.forEach((text, at) -> {
            if (now - at > patience) {
                over.add(text);
            }
        });
        over.forEach(found::remove);
        return over;
    }

    /** What is so. */
    List<String> all() {
        return List.copyOf(found.keySet());
    }
}
