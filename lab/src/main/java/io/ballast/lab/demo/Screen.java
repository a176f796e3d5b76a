package io.ballast.lab.demo;

import io.ballast.cli.Terminal;
import io.ballast.lab.farm.LabStore;
import java.util.ArrayList;
import java.util.List;

/**
 * What a demo says, and below it a table that is drawn over itself. Where the output is no terminal, the lines that are
 * said follow one another and the table is left to {@link #plain}.
 */
final class Screen {
    private static final String UP_AND_CLEAR = "\033[1A\033[2K";

    private final Terminal terminal;
    private List<String> drawn = new ArrayList<>();

    Screen(Terminal terminal) {
        this.terminal = terminal;
    }

    boolean live() {
        return terminal.interactive();
    }

    /** Says a line, above the table. */
    synchronized void say(String line) {
        if (LabStore.ending()) {
            return; // what happens now is the lab being taken away
        }
        List<String> table = drawn;
        erase();
        terminal.out().println(line);
        draw(table);
        terminal.flush();
    }

    /** Draws the table anew; only where the output is a terminal. */
    synchronized void table(List<String> lines) {
        if (LabStore.ending()) {
            return;
        }
        erase();
        draw(lines);
        terminal.flush();
    }

    /** Says a line only where there is no live table. */
    synchronized void plain(String line) {
        if (!live() && !LabStore.ending()) {
            terminal.out().println(line);
            terminal.flush();
        }
    }

    /** Leaves the table as it is; what follows comes below it. */
    synchronized void keep() {
        drawn = new ArrayList<>();
    }

    private void erase() {
        if (live()) {
            terminal.out().print(UP_AND_CLEAR.repeat(drawn.size()));
        }
        drawn = new ArrayList<>();
    }

    private void draw(List<String> lines) {
        if (live()) {
            lines.forEach(terminal.out()::println);
            drawn = lines;
        }
    }
}
