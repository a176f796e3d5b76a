package io.ballast.linux;

import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.SocketImpl;
import java.net.SocketOptions;
import java.util.concurrent.TimeUnit;

/** A connected {@link NativeSocket} behind a {@link Socket}, by the JDK's own interface for that. */
final class NativeSocketImpl extends SocketImpl {
    private final NativeSocket socket;
    private final long deadlineNanos;
    private volatile int soTimeout;
    private volatile boolean noDelay;

    private NativeSocketImpl(NativeSocket socket, InetSocketAddress remote, long deadlineNanos) {
        this.socket = socket;
        this.deadlineNanos = deadlineNanos;
        this.address = remote.getAddress();
        this.port = remote.getPort();
        this.fd = new FileDescriptor(); // never valid: nothing but this class touches the descriptor
    }

    static Socket socket(NativeSocket socket, long deadlineNanos) throws IOException {
        InetSocketAddress remote = socket.remoteAddress();
        if (remote == null) {
            throw new SocketException("not connected: " + socket);
        }
        Connected front = new Connected(new NativeSocketImpl(socket, remote, deadlineNanos));
        front.connect(remote); // only moves the front's state; see below
        return front;
    }

    private static final class Connected extends Socket {
        Connected(SocketImpl impl) throws SocketException {
            super(impl);
        }
    }

    @Override
    protected void create(boolean stream) {}

    @Override
    protected void connect(SocketAddress address, int timeout) {}

    @Override
    protected void connect(InetAddress address, int port) {}

    @Override
    protected void connect(String host, int port) {}

    @Override
    protected void bind(InetAddress host, int port) throws IOException {
        throw new SocketException("already bound");
    }

    @Override
    protected void listen(int backlog) throws IOException {
        throw new SocketException("a connection, not a listener");
    }

    @Override
    protected void accept(SocketImpl s) throws IOException {
        throw new SocketException("a connection, not a listener");
    }

    @Override
    protected InputStream getInputStream() {
        return new InputStream() {
            @Override
            public int read() throws IOException {
                byte[] one = new byte[1];
                return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
            }

            @Override
            public int read(byte[] bytes, int offset, int length) throws IOException {
                return socket.read(bytes, offset, length, readDeadline());
            }
        };
    }

    private long readDeadline() {
        int timeout = soTimeout;
        if (timeout == 0) {
            return deadlineNanos;
        }
        long bySoTimeout = NativeSocket.deadlineIn(TimeUnit.MILLISECONDS.toNanos(timeout));
        boolean earlier = deadlineNanos == NativeSocket.NO_DEADLINE || bySoTimeout - deadlineNanos < 0;
        return earlier ? bySoTimeout : deadlineNanos;
    }

    @Override
    protected OutputStream getOutputStream() {
        return new OutputStream() {
            @Override
            public void write(int value) throws IOException {
                write(new byte[] {(byte) value}, 0, 1);
            }

            @Override
            public void write(byte[] bytes, int offset, int length) throws IOException {
                socket.write(bytes, offset, length, deadlineNanos);
            }
        };
    }

    @Override
    protected int available() {
        return 0; // "without blocking" cannot be promised, and 0 is always a right answer
    }

    @Override
    protected void close() {
        socket.close();
    }

    @Override
    protected void shutdownInput() throws IOException {
        socket.shutdownInput();
    }

    @Override
    protected void shutdownOutput() throws IOException {
        socket.shutdownOutput();
    }

    @Override
    protected void sendUrgentData(int data) throws IOException {
        throw new SocketException("urgent data is not supported");
    }

    @Override
    public void setOption(int option, Object value) throws SocketException {
        try {
            switch (option) {
                case SocketOptions.SO_TIMEOUT -> soTimeout = (Integer) value;
                case SocketOptions.TCP_NODELAY -> {
                    noDelay = (Boolean) value;
                    socket.setOption(Constants.IPPROTO_TCP, Constants.TCP_NODELAY, noDelay ? 1 : 0, "TCP_NODELAY");
                }
                default -> throw new SocketException("socket option " + option + " is not supported");
            }
        } catch (SocketException e) {
            throw e;
        } catch (IOException e) {
            throw new SocketException(e.getMessage(), e);
        }
    }

    @Override
    public Object getOption(int option) throws SocketException {
        return switch (option) {
            case SocketOptions.SO_TIMEOUT -> soTimeout;
            case SocketOptions.TCP_NODELAY -> noDelay;
            case SocketOptions.SO_BINDADDR -> localAddress();
            default -> throw new SocketException("socket option " + option + " is not supported");
        };
    }

    /** Asked of the kernel when it is asked for: most connections never are. */
    @Override
    protected int getLocalPort() {
        try {
            return socket.localAddress().getPort();
        } catch (IOException e) {
            return -1; // as of a socket that is not bound
        }
    }

    private InetAddress localAddress() throws SocketException {
        try {
            return socket.localAddress().getAddress();
        } catch (IOException e) {
            throw new SocketException(e.getMessage(), e);
        }
    }
}
