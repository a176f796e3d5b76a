package io.ballast.core.yaml;

/** A text that is not one YAML document, or one that Ballast does not take; the message says what to write. */
public final class YamlException extends Exception {
    private static final long serialVersionUID = 1;

    private final int line;
    private final int column;

    public YamlException(int line, int column, String message) {
        super(message, null, false, false);
        this.line = line;
        this.column = column;
    }

    /** The line, from 1. */
    public int line() {
        return line;
    }

    /** The column, from 1. */
    public int column() {
        return column;
    }

    /** What is wrong. */
    public String text() {
        String message = getMessage();
        return message == null ? "" : message;
    }
}
