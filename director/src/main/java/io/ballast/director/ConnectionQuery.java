package io.ballast.director;

/**
 * What is to be done with the connections that a filter means.
 *
 * @param limit how many are listed at most; without meaning for the other tasks
 */
public record ConnectionQuery(ConnectionFilter filter, Task task, int limit) {

    /** What is to be done. */
    public enum Task {
        /** Each is told, up to the limit. */
        LIST,
        /** They are counted, by service and server. */
        COUNT,
        /** They are ended, and counted as with {@link #COUNT}. */
        KILL
    }

    /** Lists connections of a service, of all where it is empty. */
    public static ConnectionQuery list(String service, int limit) {
        return new ConnectionQuery(ConnectionFilter.of(service), Task.LIST, limit);
    }
}
