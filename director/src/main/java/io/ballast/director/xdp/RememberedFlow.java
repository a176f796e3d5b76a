package io.ballast.director.xdp;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Endpoint;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionInfo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;

/**
 * A remembered connection as it was a moment ago.
 *
 * @param high the client's address as FlowKey has it, upper half
 * @param low lower half
 * @param vip id of the endpoint
 * @param clientPort the client's port
 * @param port that the client asked for
 * @param server number of the server
 * @param expires in ticks of 2^27 ns
 * @param state {@link Layout#OPENING}, ESTABLISHED, CLOSING or COOKIE
 * @param proto 6 or 17
 */
record RememberedFlow(
        long high, long low, int vip, int clientPort, int port, int server, int expires, int state, int proto) {

    static RememberedFlow of(MemorySegment flow) {
        return new RememberedFlow(
                flow.get(ValueLayout.JAVA_LONG_UNALIGNED, 0),
                flow.get(ValueLayout.JAVA_LONG_UNALIGNED, 8),
                flow.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.FLOW_VIP),
                flow.get(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.FLOW_CLIENT_PORT) & 0xffff,
                flow.get(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.FLOW_PORT) & 0xffff,
                flow.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.FLOW_SERVER),
                flow.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.FLOW_EXPIRES),
                flow.get(ValueLayout.JAVA_BYTE, Layout.FLOW_STATE),
                flow.get(ValueLayout.JAVA_BYTE, Layout.FLOW_PROTO));
    }

    /** Where the client is. */
    InetSocketAddress client() {
        byte[] bytes = ByteBuffer.allocate(16).putLong(high).putLong(low).array();
        try {
            // A mapped address comes back as the IPv4 one that it is.
            return new InetSocketAddress(InetAddress.getByAddress(bytes), clientPort);
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The data plane keeps neither ages nor bytes of connections. */
    ConnectionInfo describe(String service, Endpoint endpoint, String serverName, ConnectionFilter.Phase phase) {
        InetSocketAddress client = client();
        // Of a range the port that was asked for; one that is just being written may have none yet.
        Endpoint asked = port == 0 ? endpoint : new Endpoint(endpoint.address(), port, endpoint.protocol());
        String address = Addresses.print(client.getAddress());
        return new ConnectionInfo(
                service,
                proto == 17 ? "udp" : "tcp",
                (address.contains(":") ? "[" + address + "]" : address) + ":" + client.getPort(),
                asked.toString(),
                serverName,
                phase.word(),
                ConnectionInfo.UNKNOWN,
                ConnectionInfo.UNKNOWN,
                ConnectionInfo.UNKNOWN,
                ConnectionInfo.UNKNOWN);
    }
}
