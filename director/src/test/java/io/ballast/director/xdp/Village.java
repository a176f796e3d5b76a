package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.address;

import io.ballast.core.loop.ControlLoop;
import io.ballast.linux.Capability;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Sysctl;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;

/**
 * A client, a director and two real servers, each in a namespace without a name, joined by wires:
 *
 * <pre>
 *   client eth0 ---- eth0 director eth1 ---- eth0 www1 eth1 ---- www1 client
 *                                  eth2 ---- eth0 www2 eth1 ---- www2 client
 * </pre>
 *
 * The director has the service's addresses and forwards nothing by itself. The real servers have them on their loopback
 * interface and answer the client by the wire that they share with it: direct routing. They answer under their own
 * addresses as well, for full NAT, and leave the checksums of what they send to the network card that they have not.
 */
final class Village implements AutoCloseable {
    static final InetAddress VIP4 = address("192.0.2.1");
    static final InetAddress VIP6 = address("2001:db8:1::1");
    static final int PORT = 80;
    /** Servers answer here as well, for IPv4. */
    static final int OTHER_PORT = 81;

    /** Here servers begin, with a long line. */
    static final int GREETING_PORT = 82;

    static final int GREETING_LENGTH = 2_000_000;

    /** An address of the client's beside its first. */
    static final InetAddress OTHER_CLIENT = address("10.9.0.3");

    private static final int STREAMED = 18;

    private static final Set<Address.Flag> NODAD = Set.of(Address.Flag.NODAD);

    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    /** At the service's addresses, by the server's number. */
    private final Map<Integer, List<ServerSocket>> listening = new HashMap<>();

    private final List<Throwable> failures = new CopyOnWriteArrayList<>();
    final NetworkNamespace client;
    final NetworkNamespace director;
    final List<NetworkNamespace> servers = new ArrayList<>();
    final ControlLoop loop;
    /** Datagrams that came to a server. */
    final AtomicLong received = new AtomicLong();

    final Path bpffs;

    Village() throws Exception {
        for (Capability capability : List.of(Capability.BPF, Capability.NET_ADMIN, Capability.SYS_ADMIN)) {
            Assumptions.assumeTrue(capability.isEffective(), "needs " + capability);
        }
        Assumptions.assumeTrue(
                DataPlane.class.getResource("director.bpf.o") != null, "this build has no engine xdp: no clang");
        try {
            client = open(NetworkNamespace.create());
            director = open(NetworkNamespace.create());
            prepare(client);
            prepare(director);
            loop = open(director.call(this::newLoop));
            onLoopback(director);
            joinClient();
            for (int number = 1; number <= 2; number++) {
                servers.add(open(NetworkNamespace.create()));
                prepare(servers.getLast());
                onLoopback(servers.getLast());
                joinServer(number, servers.getLast());
                listen(number, servers.getLast());
            }
            bpffs = open(new BpfFolder()).path;
        } catch (Exception | Error e) {
            close();
            throw e;
        }
    }

    private static void prepare(NetworkNamespace namespace) throws Exception {
        namespace.call(() -> {
            Sysctl.write("net.ipv4.ip_forward", "0");
            // Answers come by another wire than questions went.
            Sysctl.write("net.ipv4.conf.all.rp_filter", "0");
            Sysctl.write("net.ipv4.conf.default.rp_filter", "0");
            // As real servers have it: the director does not answer an ARP question that bears the service's address.
            Sysctl.write("net.ipv4.conf.all.arp_announce", "2");
            // Addresses can be used at once.
            return Sysctl.write("net.ipv6.conf.default.accept_dad", "0");
        });
    }

    private <T extends AutoCloseable> T open(T resource) {
        opened.push(resource);
        return resource;
    }

    private ControlLoop newLoop() {
        return new ControlLoop("test loop", Duration.ofSeconds(30), new ControlLoop.Observer() {
            @Override
            public void failed(Runnable task, Throwable error) {
                failures.add(error);
            }

            @Override
            public void stalled(Runnable task, Duration soFar, List<StackTraceElement> where) {}
        });
    }

    /** The wire between client and director; made anew after {@link #cut}. */
    void joinClient() throws Exception {
        join(client, "eth0", "10.9.0.2", "2001:db8:9::2", director, "eth0", "10.9.0.1", "2001:db8:9::1");
        netlink(client, netlink -> netlink.add(Address.of(index(netlink, "eth0"), OTHER_CLIENT, 24)));
        route(client, "eth0", VIP4, 32, address("10.9.0.1"));
        route(client, "eth0", VIP6, 128, address("2001:db8:9::1"));
        offload(client, "eth0", STXCSUM, 0);
        // Translated answers arrive by it.
        offload(client, "eth0", SGRO, 1);
    }

    /** From now on the client hears what is sent back by the interface on which it came (XDP_TX). */
    void hearReturned() throws Exception {
        netlink(client, netlink -> {
            try (BpfProgram passing = BpfProgram.passing()) {
                netlink.setXdp(index(netlink, "eth0"), passing.fd());
            }
        });
    }

    /** From now on servers answer the client by the director, as those of NAT have to. */
    void answerByDirector() throws Exception {
        for (int number = 1; number <= 2; number++) {
            String server = number + "";
            String client = 10 + number + "";
            netlink(servers.get(number - 1), netlink -> {
                int eth0 = index(netlink, "eth0");
                int eth1 = index(netlink, "eth1");
                Prefix clients4 = new Prefix(address("10.9.0.0"), 24);
                Prefix clients6 = new Prefix(address("2001:db8:9::"), 64);
                netlink.remove(Route.to(clients4, eth1, address("10.9." + client + ".2")));
                netlink.remove(Route.to(clients6, eth1, address("2001:db8:9:" + client + "::2")));
                netlink.add(Route.to(clients4, eth0, address("10.9." + server + ".1")));
                netlink.add(Route.to(clients6, eth0, address("2001:db8:9:" + server + "::1")));
            });
        }
    }

    /**
     * SYNs from clients that there are not, by the kernel's test run of the director's program.
     *
     * @param from number of the first client; there are 65,536, and then the same again
     * @param to number behind the last
     * @param action what becomes of each: TX of the answer, or REDIRECT of what is for a server
     */
    void synFlood(InetAddress vip, int from, int to, XdpAction action) {
        boolean ipv4 = vip instanceof Inet4Address;
        InetAddress anybody = address(ipv4 ? "198.18.0.1" : "2001:db8:dead::1");
        byte[] segment = Frames.tcp(anybody, 1000, vip, PORT, Frames.SYN, new byte[0]);
        byte[] frame = Frames.frame(Frames.DIRECTOR, Frames.ROUTER, Frames.ip(anybody, vip, Frames.TCP, segment));
        try (BpfProgram program = BpfProgram.openPinned(bpffs.resolve("ballast/test/tables_1/director"));
                Arena arena = Arena.ofConfined()) {
            MemorySegment packet = arena.allocateFrom(ValueLayout.JAVA_BYTE, frame);
            for (int i = from; i < to; i++) {
                // The last bytes of the client's address.
                packet.set(ValueLayout.JAVA_SHORT_UNALIGNED, ipv4 ? 28 : 36, (short) i);
                packet.set(ValueLayout.JAVA_SHORT_UNALIGNED, ipv4 ? 34 : 54, (short) (i * 7));
                XdpAction was = program.testRun(TestRun.of(packet)).action();
                if (was != action) {
                    throw new AssertionError("SYN " + i + " was to have " + action + ", and had " + was);
                }
            }
        } catch (IOException | RuntimeException | Error e) {
            failures.add(e);
        }
    }

    /** Takes the director's interface away. */
    void cut() throws Exception {
        netlink(director, netlink -> netlink.deleteLink(index(netlink, "eth0")));
    }

    private void joinServer(int number, NetworkNamespace server) throws Exception {
        String way = "10.9." + number + ".";
        String way6 = "2001:db8:9:" + number + "::";
        join(director, "eth" + number, way + "1", way6 + "1", server, "eth0", way + "2", way6 + "2");
        // What a program sends to an end of a wire arrives only where the other end waits for it.
        offload(server, "eth0", SGRO, 1);
        String back = "10.9." + (10 + number) + ".";
        String back6 = "2001:db8:9:" + (10 + number) + "::";
        join(server, "eth1", back + "1", back6 + "1", client, "www" + number, back + "2", back6 + "2");
        route(server, "eth1", address("10.9.0.0"), 24, address(back + "2"));
        route(server, "eth1", address("2001:db8:9::"), 64, address(back6 + "2"));
    }

    private static void onLoopback(NetworkNamespace where) throws Exception {
        netlink(where, netlink -> {
            int lo = index(netlink, "lo");
            netlink.add(Address.of(lo, VIP4, 32));
            netlink.add(Address.of(lo, VIP6, 128).withFlags(NODAD));
        });
    }

    private static void join(
            NetworkNamespace one,
            String device,
            String address4,
            String address6,
            NetworkNamespace other,
            String otherDevice,
            String otherAddress4,
            String otherAddress6)
            throws Exception {
        netlink(one, netlink -> {
            netlink.create(new NewLink.Veth(device, otherDevice, other));
            number(netlink, device, address4, address6);
        });
        netlink(other, netlink -> number(netlink, otherDevice, otherAddress4, otherAddress6));
    }

    private static void number(RouteNetlink netlink, String device, String address4, String address6)
            throws IOException {
        int link = index(netlink, device);
        netlink.add(Address.of(link, address(address4), 24));
        netlink.add(Address.of(link, address(address6), 64).withFlags(NODAD));
        netlink.setUp(link, true);
    }

    private static void route(NetworkNamespace from, String device, InetAddress to, int length, InetAddress by)
            throws Exception {
        netlink(from, netlink -> netlink.add(Route.to(new Prefix(to, length), index(netlink, device), by)));
    }

    interface Change {
        void to(RouteNetlink netlink) throws IOException;
    }

    static void netlink(NetworkNamespace where, Change change) throws Exception {
        where.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                change.to(netlink);
            }
            return true;
        });
    }

    static int index(RouteNetlink netlink, String device) throws IOException {
        return netlink.link(device).map(Link::index).orElseThrow(() -> new IOException("no " + device));
    }

    /** The index of an interface of the director. */
    int index(String device) throws Exception {
        return director.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                return index(netlink, device);
            }
        });
    }

    private static final int STXCSUM = 0x17;
    private static final int SGRO = 0x2c;
    private static final long SIOCETHTOOL = 0x8946;

    /** What ethtool(8) does: struct ifreq with a pointer to struct ethtool_value. */
    static void offload(NetworkNamespace where, String device, int command, int value) throws Exception {
        where.call(() -> {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment request = arena.allocate(40, 8);
                MemorySegment setting = arena.allocateFrom(ValueLayout.JAVA_INT, command, value);
                request.setString(0, device);
                request.set(ValueLayout.ADDRESS, 16, setting);
                int fd = libc("socket", 2, 2, 0);
                int result = libc("ioctl", fd, SIOCETHTOOL, request.address());
                libc("close", fd, 0, 0);
                if (result != 0) {
                    throw new IOException("ethtool " + command + " of " + device);
                }
                return true;
            }
        });
    }

    /** Runs something on the calling thread's behalf in one that has given up every capability. */
    static <T> T withoutCapabilities(Callable<T> task) throws Exception {
        FutureTask<T> result = new FutureTask<>(() -> {
            try (Arena arena = Arena.ofConfined()) {
                // _LINUX_CAPABILITY_VERSION_3, this thread; three empty sets.
                MemorySegment header = arena.allocateFrom(ValueLayout.JAVA_INT, 0x20080522, 0);
                if (libc("capset", header.address(), arena.allocate(24, 8).address(), 0) != 0) {
                    throw new IOException("capset");
                }
            }
            return task.call();
        });
        Thread.ofPlatform().start(result);
        try {
            return result.get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof Exception cause ? cause : e;
        }
    }

    /** A function of the C library whose arguments are numbers or addresses. */
    private static int libc(String function, long a, long b, long c) throws IOException {
        Linker linker = Linker.nativeLinker();
        MethodHandle handle = linker.downcallHandle(
                linker.defaultLookup().findOrThrow(function),
                FunctionDescriptor.of(
                        ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
        try {
            return (int) handle.invokeExact(a, b, c);
        } catch (Throwable e) {
            throw new IOException(e);
        }
    }

    /** Answers each line by its name and the line, and counts datagrams. */
    private void listen(int number, NetworkNamespace server) throws Exception {
        List<InetAddress> own = List.of(address("10.9." + number + ".2"), address("2001:db8:9:" + number + "::2"));
        listen(number, server, new InetSocketAddress(VIP4, OTHER_PORT));
        for (InetAddress address : own) {
            listen(number, server, new InetSocketAddress(address, GREETING_PORT));
        }
        for (InetAddress vip : List.of(VIP4, VIP6, own.getFirst(), own.getLast())) {
            ServerSocket socket = listen(number, server, new InetSocketAddress(vip, PORT));
            if (!own.contains(vip)) {
                listening.computeIfAbsent(number, unknown -> new ArrayList<>()).add(socket);
            }
            DatagramSocket datagrams = open(server.call(() -> new DatagramSocket(new InetSocketAddress(vip, PORT))));
            datagrams.setReceiveBufferSize(1 << 20);
            Thread.ofVirtual().start(() -> count(datagrams, "www" + number));
        }
    }

    /** From now on a server listens at its own addresses only. */
    void silence(int number) throws IOException {
        for (ServerSocket socket : listening.getOrDefault(number, List.of())) {
            socket.close();
        }
    }

    private ServerSocket listen(int number, NetworkNamespace server, InetSocketAddress where) throws Exception {
        ServerSocket socket = open(server.call(() -> {
            ServerSocket made = new ServerSocket();
            made.bind(where);
            return made;
        }));
        Thread.ofVirtual().start(() -> {
            while (!socket.isClosed()) {
                try {
                    Socket accepted = socket.accept();
                    Thread.ofVirtual().start(() -> answer(accepted, "www" + number, where.getPort()));
                } catch (IOException e) {
                    return; // closed
                }
            }
        });
        return socket;
    }

    /** Counts datagrams; one that is longer than those of a {@link Stream} is answered. */
    private void count(DatagramSocket socket, String name) {
        byte[] answer = name.getBytes(StandardCharsets.UTF_8);
        while (!socket.isClosed()) {
            try {
                DatagramPacket packet = new DatagramPacket(new byte[64], 64);
                socket.receive(packet);
                received.incrementAndGet();
                if (packet.getLength() > STREAMED) {
                    socket.send(new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
                }
            } catch (IOException e) {
                return; // closed
            }
        }
    }

    /** The name of the server that answers a datagram of the client's from one of its addresses and a new port. */
    String ask(InetAddress from, InetAddress vip, byte[] datagram) throws Exception {
        return client.call(() -> {
            try (DatagramSocket socket = new DatagramSocket(0, from)) {
                socket.setSoTimeout(20_000);
                socket.send(new DatagramPacket(datagram, datagram.length, vip, PORT));
                DatagramPacket answer = new DatagramPacket(new byte[64], 64);
                socket.receive(answer);
                return new String(answer.getData(), 0, answer.getLength(), StandardCharsets.UTF_8);
            }
        });
    }

    /** Sends datagrams from the client, about a thousand a second, until it is closed. */
    final class Stream implements AutoCloseable {
        private final List<DatagramSocket> sockets = new ArrayList<>();
        private final Thread thread;
        private volatile boolean ended;
        private long sent;

        Stream() throws IOException {
            for (int i = 0; i < 8; i++) {
                InetAddress vip = i % 2 == 0 ? VIP4 : VIP6;
                sockets.add(open(client.call(() -> {
                    DatagramSocket socket = new DatagramSocket();
                    socket.connect(new InetSocketAddress(vip, PORT));
                    return socket;
                })));
            }
            thread = Thread.ofPlatform().daemon().start(this::run);
        }

        private void run() {
            try {
                while (!ended) {
                    DatagramSocket socket = sockets.get((int) (sent % sockets.size()));
                    socket.send(new DatagramPacket(new byte[STREAMED], STREAMED));
                    sent++;
                    LockSupport.parkNanos(1_000_000);
                }
            } catch (IOException e) {
                failures.add(e);
            }
        }

        /** How many were sent, when there will be no more. */
        long end() throws InterruptedException {
            ended = true;
            thread.join();
            return sent;
        }

        @Override
        public void close() {
            ended = true;
        }
    }

    /** Sends datagrams to the service; they count in {@link #received}. */
    Stream stream() throws IOException {
        return open(new Stream());
    }

    private static void answer(Socket socket, String name, int port) {
        try (socket) {
            if (port == GREETING_PORT) {
                String greeting = "x".repeat(GREETING_LENGTH) + "\n";
                socket.getOutputStream().write(greeting.getBytes(StandardCharsets.UTF_8));
            }
            BufferedReader in =
                    new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                socket.getOutputStream().write((name + " " + line + "\n").getBytes(StandardCharsets.UTF_8));
            }
        } catch (IOException e) {
            // The client or the test has ended it.
        }
    }

    /** A connection of the client. */
    static final class Connection implements AutoCloseable {
        private final Socket socket;
        private final BufferedReader in;

        private Connection(Socket socket) throws IOException {
            this.socket = socket;
            in = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
        }

        /** How long the line is that the server begins with. */
        int greeted() throws IOException {
            String greeting = in.readLine();
            return greeting == null ? 0 : greeting.length();
        }

        /** The name of the server that answers. */
        String ask(String line) throws IOException {
            socket.getOutputStream().write((line + "\n").getBytes(StandardCharsets.UTF_8));
            String answer = in.readLine();
            if (answer == null || !answer.endsWith(" " + line)) {
                throw new IOException("answered " + answer);
            }
            return answer.substring(0, answer.indexOf(' '));
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    Connection connect(InetAddress vip) throws IOException {
        return connect(null, new InetSocketAddress(vip, PORT));
    }

    /** A connection from one of the client's addresses; null for its first. */
    Connection connect(@Nullable InetAddress from, InetSocketAddress to) throws IOException {
        return client.call(() -> {
            Socket socket = new Socket();
            socket.setSoTimeout(10_000);
            try {
                if (from != null) {
                    socket.bind(new InetSocketAddress(from, 0));
                }
                socket.connect(to, 10_000);
            } catch (IOException e) {
                socket.close();
                throw e;
            }
            return open(new Connection(socket));
        });
    }

    /** Who answers a connection of its own. */
    String ask(@Nullable InetAddress from, InetAddress vip, int port) throws IOException {
        try (Connection connection = connect(from, new InetSocketAddress(vip, port))) {
            return connection.ask("who are you?");
        }
    }

    String ask(InetAddress vip) throws IOException {
        try (Connection connection = connect(vip)) {
            return connection.ask("who are you?");
        }
    }

    /** Does something on the control loop and waits for it. */
    <T> T onLoop(Callable<T> task) throws Exception {
        CompletableFuture<T> done = new CompletableFuture<>();
        loop.execute(() -> {
            try {
                done.complete(task.call());
            } catch (Exception | Error e) {
                done.completeExceptionally(e);
            }
        });
        return done.get(20, TimeUnit.SECONDS);
    }

    /** A condition of something that may fail. */
    interface Condition {
        boolean holds() throws Exception;
    }

    static void await(String what, Condition condition) throws Exception {
        BooleanSupplier holds = () -> {
            try {
                return condition.holds();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        };
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() - end > 0) {
                throw new AssertionError("did not happen in 20 s: " + what);
            }
            Thread.sleep(2);
        }
    }

    @Override
    public void close() throws IOException {
        IOException first = null;
        while (!opened.isEmpty()) {
            try {
                opened.pop().close();
            } catch (Exception e) {
                first = new IOException(e);
            }
        }
        if (first != null) {
            throw first;
        }
        if (!failures.isEmpty()) {
            throw new AssertionError("a task of the loop failed", failures.getFirst());
        }
    }
}
