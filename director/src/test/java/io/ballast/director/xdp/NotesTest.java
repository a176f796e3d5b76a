package io.ballast.director.xdp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.net.InetSocketAddress;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What one process writes down, the next reads. */
final class NotesTest {
    private final MemorySegment services = MemorySegment.ofArray(new byte[4 * Layout.SERVICE_NOTE]);
    private final MemorySegment servers = MemorySegment.ofArray(new byte[32 * Layout.SERVER_NOTE]);

    private static final Notes.OfService WEB = new Notes.OfService(
            2, "web-1.example_" + "x".repeat(49), Vip.Kind.BY_SLOT_OF_HASH, 8, 16, 4097, 65537, -1, Long.MAX_VALUE - 1);

    private static Notes.OfServer server(int number, String address) {
        return new Notes.OfServer(
                number,
                WEB.number(),
                "www" + number,
                new InetSocketAddress(Frames.address(address), 65535),
                65535,
                number % 2 == 1,
                number % 3 == 1,
                Long.MAX_VALUE);
    }

    @Test
    void namesNumbersAndDrainsAreFoundAgain() {
        Notes notes = new Notes(services, servers);
        List<Notes.OfServer> written = List.of(server(8, "10.9.0.1"), server(9, "2001:db8::1"), server(23, "0.0.0.0"));
        written.forEach(notes::write);
        notes.write(WEB);
        Notes again = new Notes(services, servers);
        assertThat(again.services()).containsExactly(WEB);
        assertThat(again.servers(WEB)).isEqualTo(written);
    }

    @Test
    void whatIsErasedIsGoneAndItsPlaceTakesAnother() {
        Notes notes = new Notes(services, servers);
        notes.write(server(8, "2001:db8::1"));
        notes.write(server(9, "10.9.0.1"));
        notes.write(WEB);
        notes.eraseServer(8);
        assertThat(notes.servers(WEB)).containsExactly(server(9, "10.9.0.1"));
        notes.write(server(8, "10.9.0.3"));
        assertThat(notes.servers(WEB)).containsExactly(server(8, "10.9.0.3"), server(9, "10.9.0.1"));
        notes.eraseService(2);
        assertThat(notes.services()).isEmpty();
    }

    @Test
    void aNumberOfAnotherServiceIsNotThisOnes() {
        Notes notes = new Notes(services, servers);
        notes.write(server(8, "10.9.0.1"));
        Notes.OfService other = new Notes.OfService(3, "other", Vip.Kind.IN_TURN, 0, 16, -1, 0, -1, 0);
        assertThat(notes.servers(other)).isEmpty();
    }

    @Test
    void aNameThatDoesNotFitIsRefused() {
        Notes notes = new Notes(services, servers);
        Notes.OfService note = new Notes.OfService(0, "x".repeat(Layout.NAME), Vip.Kind.IN_TURN, 0, 8, -1, 0, -1, 0);
        assertThatThrownBy(() -> notes.write(note)).hasMessageContaining("longer than 63 bytes");
        assertThat(notes.services()).isEmpty();
    }

    @Test
    void commentsAndBlanksAreNoLayout() {
        assertThat(Generation.withoutComments("int a; /* one\n * two */\n\n\tint  b;"))
                .isEqualTo(Generation.withoutComments("int a;  int b;"));
        assertThat(Generation.withoutComments("int a;")).isNotEqualTo(Generation.withoutComments("int b;"));
    }
}
