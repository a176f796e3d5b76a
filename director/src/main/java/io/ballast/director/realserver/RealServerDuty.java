package io.ballast.director.realserver;

import io.ballast.core.loop.Loop;
import io.ballast.core.loop.Timer;
import io.ballast.director.xdp.Decapsulation;
import io.ballast.director.xdp.XdpDirector;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Keeps this machine the real server that the description wants it to be: {@link RealServer its addresses} and {@link
 * Decapsulation the ends of its tunnels}. What the kernel makes wait happens on a thread beside the control loop, in the
 * network namespace of the thread that made this; what cannot be done is said once and tried again.
 */
public final class RealServerDuty implements AutoCloseable {
    private static final Duration AGAIN = Duration.ofSeconds(10);

    /** Hears, on the loop, what was done and what cannot be. */
    @FunctionalInterface
    public interface Journal {
        /** Something worth the journal. */
        void note(boolean warning, String message);
    }

    private final Loop loop;
    private final Journal journal;
    private final RealServer realServer;
    private final Path bpffs;
    private final String instance;
    private final ThreadPoolExecutor thread = new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            Thread.ofPlatform().name("real server").daemon().factory(),
            new ThreadPoolExecutor.DiscardPolicy());

    // Of the thread.
    private @Nullable Decapsulation tunnels;

    // Of the loop.
    private @Nullable Part wanted;
    private String trouble = "";
    private @Nullable Timer retry;

    /**
     * @param file where is kept what was changed of the machine
     * @param bpffs where a bpffs is to be mounted where the machine has none
     * @param instance the name of this real server among others of the machine
     */
    public RealServerDuty(Loop loop, Journal journal, Path file, Path bpffs, String instance) {
        this.loop = loop;
        this.journal = journal;
        this.realServer = new RealServer(file);
        this.bpffs = bpffs;
        this.instance = instance;
        thread.prestartCoreThread();
    }

    /** What the machine is to be from now on. Also takes away what an earlier process left and nobody wants any more. */
    public void become(Part part) {
        if (!part.equals(wanted)) {
            wanted = part;
            begin(part);
        }
    }

    private void begin(Part part) {
        if (retry != null) {
            retry.cancel();
            retry = null;
        }
        thread.execute(() -> {
            String problem = "";
            try {
                for (String line : realServer.become(part.addresses())) {
                    tell(false, line);
                }
                unpack(part);
            } catch (IOException | RuntimeException e) {
                problem = e.getMessage() == null ? e.toString() : e.getMessage();
            }
            String found = problem;
            loop.execute(() -> done(part, found));
        });
    }

    private void tell(boolean warning, String message) {
        loop.execute(() -> journal.note(warning, message));
    }

    private void unpack(Part part) throws IOException {
        if (part.tunnelEnds().isEmpty()) {
            letGo();
            Decapsulation.dismantle(bpffs, instance);
            return;
        }
        List<String> devices = XdpDirector.devicesOf(part.tunnelEnds());
        if (tunnels != null && tunnels.devices().equals(devices)) {
            tunnels.become(part.addresses(), part.tunnelEnds());
            return;
        }
        letGo();
        tunnels = Decapsulation.open(
                bpffs, instance, devices, part.addresses(), part.tunnelEnds(), reason -> tell(true, reason));
    }

    private void letGo() {
        if (tunnels != null) {
            tunnels.close();
            tunnels = null;
        }
    }

    private void done(Part part, String problem) {
        if (!part.equals(wanted)) {
            return;
        }
        if (!problem.isEmpty()) {
            if (!problem.equals(trouble)) {
                journal.note(true, problem);
            }
            retry = loop.schedule(AGAIN, () -> begin(part));
        }
        trouble = problem;
    }

    /** Why the machine is not what it is to be; empty where it is. */
    public String trouble() {
        return trouble;
    }

    /** Lets go; the machine stays as it is. */
    @Override
    public void close() {
        thread.execute(this::letGo);
        thread.shutdown();
    }
}
