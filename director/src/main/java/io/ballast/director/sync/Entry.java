package io.ballast.director.sync;

/**
 * A connection that a director remembers, or a client that belongs to a server; by the numbers that the director has for
 * endpoints and servers ({@link Names}).
 *
 * @param endpoint number of the endpoint; of a client, of the service's clients
 * @param server number of the server
 * @param high the client's address as the 128 bits of its IPv6 form, upper half
 * @param low lower half
 * @param clientPort the client's port; of a client, how many bits of the address make it
 * @param port that the client asked for; 0 of a client
 * @param state what has become of it
 * @param ticks how long it is remembered yet where nothing more comes of it, in units of 2^27 ns
 * @param natPort full NAT: the port of the director's by which the server knows it; else 0
 * @param router NAT: the MAC address that the client's packets come from, 0 where that is not known
 * @param tags NAT: the VLAN tags of the client's frames, as they lie in memory
 * @param header NAT: how long the headers of these frames are
 */
public record Entry(
        int endpoint,
        int server,
        long high,
        long low,
        int clientPort,
        int port,
        State state,
        int ticks,
        int natPort,
        long router,
        long tags,
        int header) {

    /** What has become of a connection. One that is only being opened is not told of. */
    public enum State {
        /** Packets have come since its first. */
        ESTABLISHED(1),
        /** One side has ended it. */
        CLOSING(2),
        /** The operator has. */
        KILLED(3),
        /** It is no connection, but the server that a client belongs to. */
        CLIENT(4);

        private final int number;

        State(int number) {
            this.number = number;
        }

        /** Its number between directors. */
        int number() {
            return number;
        }
    }

    /** The same by another director's numbers. */
    public Entry by(int otherEndpoint, int otherServer) {
        return new Entry(
                otherEndpoint, otherServer, high, low, clientPort, port, state, ticks, natPort, router, tags, header);
    }
}
