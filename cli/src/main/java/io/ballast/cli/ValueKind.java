package io.ballast.cli;

/** What a value is: decides what completion offers and what the parser accepts. */
public enum ValueKind {
    /** Any text. */
    TEXT,
    /** The path of a file. */
    FILE,
    /** The path of a directory. */
    DIRECTORY,
    /** A whole number, 0 or more. */
    NUMBER,
    /** A length of time with its unit: {@code 100ms}, {@code 30s}, {@code 1h}. */
    DURATION,
    /** One of a few words. */
    CHOICE,
    /** The name of a virtual service. */
    SERVICE,
    /** The name of a real server. */
    SERVER,
    /** A program and its arguments: from here on words are taken as they are, options too. */
    COMMAND
}
