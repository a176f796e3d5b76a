package io.ballast.linux;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.nio.channels.SocketChannel;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A connected {@link NativeSocket} seen as a {@link Socket}, as far as TLS layering and stream users need it. */
final class NativeSocketAdapter extends Socket {
    private final NativeSocket socket;
    private final long deadlineNanos;
    private final InputStream input = new Input();
    private final OutputStream output = new Output();
    private volatile int soTimeout;
    private volatile boolean inputShut;
    private volatile boolean outputShut;

    NativeSocketAdapter(NativeSocket socket, long deadlineNanos) {
        this.socket = socket;
        this.deadlineNanos = deadlineNanos;
    }

    private final class Input extends InputStream {
        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            return socket.read(bytes, offset, length, readDeadline());
        }

        @Override
        public void close() throws IOException {
            NativeSocketAdapter.this.close();
        }
    }

    private final class Output extends OutputStream {
        @Override
        public void write(int value) throws IOException {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            if (length > 0) {
                socket.write(bytes, offset, length, deadlineNanos);
            }
        }

        @Override
        public void close() throws IOException {
            NativeSocketAdapter.this.close();
        }
    }

    private long readDeadline() {
        int timeout = soTimeout;
        if (timeout == 0) {
            return deadlineNanos;
        }
        long bySoTimeout = NativeSocket.deadlineIn(TimeUnit.MILLISECONDS.toNanos(timeout));
        return deadlineNanos == NativeSocket.NO_DEADLINE || bySoTimeout - deadlineNanos < 0
                ? bySoTimeout
                : deadlineNanos;
    }

    @Override
    public void connect(SocketAddress endpoint) throws IOException {
        connect(endpoint, 0);
    }

    @Override
    public void connect(SocketAddress endpoint, int timeout) throws IOException {
        throw new SocketException("already connected");
    }

    @Override
    public void bind(@Nullable SocketAddress bindpoint) throws IOException {
        throw new SocketException("already connected");
    }

    @Override
    public @Nullable InetAddress getInetAddress() {
        InetSocketAddress remote = socket.remoteAddress();
        return remote == null ? null : remote.getAddress();
    }

    @Override
    public InetAddress getLocalAddress() {
        try {
            return socket.localAddress().getAddress();
        } catch (IOException e) {
            return new InetSocketAddress(0).getAddress(); // as Socket does when closed: the wildcard
        }
    }

    @Override
    public int getPort() {
        InetSocketAddress remote = socket.remoteAddress();
        return remote == null ? 0 : remote.getPort();
    }

    @Override
    public int getLocalPort() {
        try {
            return socket.localAddress().getPort();
        } catch (IOException e) {
            return -1; // as Socket does when there is none
        }
    }

    @Override
    public @Nullable SocketAddress getRemoteSocketAddress() {
        return socket.remoteAddress();
    }

    @Override
    public SocketAddress getLocalSocketAddress() {
        return new InetSocketAddress(getLocalAddress(), Math.max(getLocalPort(), 0));
    }

    @Override
    public @Nullable SocketChannel getChannel() {
        return null;
    }

    @Override
    public InputStream getInputStream() throws IOException {
        checkOpen();
        return input;
    }

    @Override
    public OutputStream getOutputStream() throws IOException {
        checkOpen();
        return output;
    }

    private void checkOpen() throws SocketException {
        if (!socket.isOpen()) {
            throw new SocketException("socket closed");
        }
    }

    @Override
    public void setSoTimeout(int timeout) throws SocketException {
        if (timeout < 0) {
            throw new IllegalArgumentException("negative timeout: " + timeout);
        }
        checkOpen();
        soTimeout = timeout;
    }

    @Override
    public int getSoTimeout() {
        return soTimeout;
    }

    @Override
    public void setTcpNoDelay(boolean on) throws SocketException {
        try {
            socket.setOption(Constants.IPPROTO_TCP, Constants.TCP_NODELAY, on ? 1 : 0, "TCP_NODELAY");
        } catch (SocketException e) {
            throw e;
        } catch (IOException e) {
            SocketException translated = new SocketException(e.getMessage());
            translated.initCause(e);
            throw translated;
        }
    }

    @Override
    public void shutdownInput() throws IOException {
        socket.shutdownInput();
        inputShut = true;
    }

    @Override
    public void shutdownOutput() throws IOException {
        socket.shutdownOutput();
        outputShut = true;
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }

    @Override
    public boolean isConnected() {
        return socket.remoteAddress() != null;
    }

    @Override
    public boolean isBound() {
        return true;
    }

    @Override
    public boolean isClosed() {
        return !socket.isOpen();
    }

    @Override
    public boolean isInputShutdown() {
        return inputShut;
    }

    @Override
    public boolean isOutputShutdown() {
        return outputShut;
    }

    @Override
    public String toString() {
        return "Socket[" + socket + "]";
    }
}
