package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class MiddleTest {
    @ParameterizedTest
    @CsvSource({
        "'', '', '', ''",
        "abc, abc, '', ''",
        "abc, axc, b, x",
        "abc, ac, b, ''",
        "ac, abc, '', b",
        "aa, a, a, ''",
        "a, aaa, '', aa",
        "abcd, acbd, bc, cb",
        "abc, '', abc, ''",
        "'', abc, '', abc",
        "ab, cd, ab, cd"
    })
    void whatBothBeginAndEndWithIsLeftOut(String before, String after, String middleBefore, String middleAfter) {
        assertThat(Middle.of(letters(before), letters(after)))
                .isEqualTo(new Middle<>(letters(middleBefore), letters(middleAfter)));
    }

    private static List<String> letters(String text) {
        return text.chars().mapToObj(c -> Character.toString(c).intern()).toList();
    }
}
