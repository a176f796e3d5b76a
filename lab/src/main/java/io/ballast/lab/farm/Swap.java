package io.ballast.lab.farm;

import io.ballast.linux.NativeSocket;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;

/**
 * Passes frames on in another order: the first waits for the second and follows it, the third waits for the fourth, and so on.
 */
final class Swap implements AutoCloseable {
    private static final int LONGEST = 9000;

    private final NativeSocket in;
    private final List<NativeSocket> out;
    private final Thread thread;

    private Swap(NativeSocket in, List<NativeSocket> out) {
        this.in = in;
        this.out = List.copyOf(out);
        this.thread = Thread.ofPlatform().name("swap").daemon().unstarted(this::run);
    }

    /** Begins; the sockets are closed with it. */
    static Swap start(NativeSocket in, List<NativeSocket> out) {
        Swap swap = new Swap(in, out);
        swap.thread.start();
        return swap;
    }

    private void run() {
        byte[] buffer = new byte[LONGEST];
        byte[] first = null;
        try {
            while (true) {
                byte[] frame = Arrays.copyOf(buffer, in.read(buffer, 0, buffer.length, NativeSocket.NO_DEADLINE));
                if (first == null) {
                    first = frame;
                } else {
                    pass(frame);
                    pass(first);
                    first = null;
                }
            }
        } catch (IOException e) {
            // It is over, as the socket was closed; what else may be wrong shows as nodes that hear nobody.
        }
    }

    private void pass(byte[] frame) throws IOException {
        for (NativeSocket to : out) {
            to.write(ByteBuffer.wrap(frame), NativeSocket.NO_DEADLINE);
        }
    }

    @Override
    public void close() {
        in.close();
        boolean interrupted = false;
        while (true) {
            try {
                thread.join();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        out.forEach(NativeSocket::close);
    }
}
