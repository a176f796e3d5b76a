package io.ballast.linux.bpf;

import java.io.IOException;
import java.nio.file.Path;

/** What is pinned at a path is not what was expected there: a leftover of another version or description. */
public final class WrongPinException extends IOException {
    private static final long serialVersionUID = 1L;

    private final String found;
    private final String expected;

    WrongPinException(Path path, String found, String expected) {
        super("open pinned " + path + ": is a " + found + ", not a " + expected
                + ": a leftover of another version or description; remove it");
        this.found = found;
        this.expected = expected;
    }

    /** What is there. */
    public String found() {
        return found;
    }

    /** What was to be there. */
    public String expected() {
        return expected;
    }
}
