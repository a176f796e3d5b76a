package io.ballast.core.config.reader;

/**
 * A host and perhaps a port, as somebody wrote them.
 *
 * @param host a literal address without brackets, or a name
 * @param port 0 where none is written
 * @param literal whether the host is an address
 */
record Host(String host, int port, boolean literal) {}
