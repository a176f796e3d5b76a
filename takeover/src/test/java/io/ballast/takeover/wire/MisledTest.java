package io.ballast.takeover.wire;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.netlink.MacAddress;
import io.ballast.takeover.lease.LeaseGate.Sender;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class MisledTest {
    private static final long MS = 1_000_000;
    private static final InetAddress VIP = InetAddress.ofLiteral("192.0.2.100");
    private static final Membership.Key KEY = new Membership.Key("eth0", false, 51);

    private final Misled misled = new Misled();

    private static Sender sender(int number) {
        return new Sender(VIP, 2, new MacAddress(0x0200_0000_0000L + number));
    }

    @Test
    void whoSendsIsAskedForOnceASecondWhileItGoesOn() {
        assertThat(misled.isWatching()).isFalse();
        misled.released(KEY, "front", List.of(VIP), 0);
        List<Long> asked = new ArrayList<>();
        for (long at = 100; at <= 2500; at += 100) {
            if (!misled.see(Map.of(sender(1), at), at * MS).isEmpty()) {
                asked.add(at);
            }
        }
        assertThat(asked).containsExactly(100L, 1100L, 2100L);
        assertThat(misled.see(Map.of(sender(1), 2500L), 9000 * MS)).isEmpty();
        assertThat(misled.strays()).containsEntry(KEY, new Ownership.Strays(1, 2500, 2500 * MS));
        assertThat(misled.news(4400 * MS)).isEmpty();
        assertThat(misled.news(4600 * MS))
                .containsExactly(
                        "front: 1 neighbour went on sending to its addresses here, 2500 packets, the last 2.5 s"
                                + " after they had gone; they were answered where those are");
        assertThat(misled.news(9600 * MS)).isEmpty();
        misled.forget(KEY);
        assertThat(misled.see(Map.of(sender(1), 2600L), 9000 * MS)).isEmpty();
        assertThat(misled.strays()).isEmpty();
    }

    @Test
    void manyAreAskedForAFewAtATime() {
        misled.released(KEY, "front", List.of(VIP), 0);
        Map<Sender, Long> counts = new HashMap<>();
        for (int i = 0; i < 40; i++) {
            counts.put(sender(i), 1L);
        }
        List<Sender> asked = new ArrayList<>(misled.see(counts, MS));
        assertThat(asked).hasSize(Misled.AT_ONCE);
        for (int round = 2; round < 4; round++) {
            long count = round;
            counts.replaceAll((_, _) -> count);
            asked.addAll(misled.see(counts, round * MS));
        }
        assertThat(asked).hasSize(40).doesNotHaveDuplicates();
    }

    @Test
    void whoDoesNotListenIsNamedOnce() {
        misled.released(KEY, "front", List.of(VIP), 0);
        List<String> news = new ArrayList<>();
        for (long second = 1; second < 20; second++) {
            misled.see(Map.of(sender(1), second), second * 1000 * MS);
            news.addAll(misled.news(second * 1000 * MS));
        }
        assertThat(news)
                .singleElement()
                .asString()
                .startsWith("!front: 02:00:00:00:00:01 goes on sending to 192.0.2.100 at this machine");
    }
}
