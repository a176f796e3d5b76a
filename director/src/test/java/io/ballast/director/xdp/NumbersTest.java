package io.ballast.director.xdp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Objects;
import org.junit.jupiter.api.Test;

final class NumbersTest {
    private static final int PARTS = 8;

    /** Room for four services, 32 servers, and orders by load of two lines. */
    private final Numbers numbers = new Numbers(new DataPlane.Sizes(4, 4, 32, 16, 2, 64), PARTS);

    private static Installed installed(Numbers.Taken taken, int capacity, Vip.Kind kind) {
        return new Installed(
                new InstalledService(taken.service(), capacity, "web"), taken.firstServer(), taken.tree(), kind);
    }

    @Test
    void whatConnectionsMayNameIsTakenAgainOnlyAfterAWholeSweep() {
        Numbers.Taken first = Objects.requireNonNull(numbers.take(16, true));
        assertThat(first).isEqualTo(new Numbers.Taken(0, 0, 0));
        assertThat(numbers.take(16, true)).isEqualTo(new Numbers.Taken(1, 16, 1));
        numbers.sweptPart();
        numbers.give(installed(first, 16, Vip.Kind.LEAST_CONNECTION));
        for (int part = 0; part < PARTS; part++) {
            assertThat(numbers.take(16, true)).as("after %d parts", part).isNull();
            assertThat(numbers.areWaiting()).isTrue();
            numbers.sweptPart();
        }
        assertThat(numbers.areWaiting()).isFalse();
        assertThat(numbers.take(16, true)).isEqualTo(first);
    }

    @Test
    void whereOneKindIsMissingNothingIsTaken() {
        assertThat(numbers.take(16, true)).isNotNull();
        assertThat(numbers.take(8, true)).isNotNull();
        // There is no line for another order, but still room for the servers.
        assertThat(numbers.take(8, true)).isNull();
        assertThat(numbers.take(8, false)).isEqualTo(new Numbers.Taken(2, 24, -1));
        assertThat(numbers.take(8, false)).isNull();
    }

    @Test
    void whatAnEarlierProcessHasIsNobodyElses() {
        Notes.OfService note = new Notes.OfService(2, "web", Vip.Kind.LEAST_CONNECTION, 8, 16, 3, 20, 1, 0);
        numbers.claim(note);
        numbers.endpointWas(70);
        assertThat(numbers.nextEndpoint()).isEqualTo(71);
        assertThat(numbers.takeSlots(3)).isZero();
        assertThat(numbers.takeSlots(3)).isEqualTo(5);
        assertThat(numbers.take(8, true)).isEqualTo(new Numbers.Taken(0, 0, 0));
        assertThat(numbers.take(8, false)).isEqualTo(new Numbers.Taken(1, 24, -1));
        assertThatThrownBy(() -> numbers.claim(note)).hasMessage("service web lies across another");
    }
}
