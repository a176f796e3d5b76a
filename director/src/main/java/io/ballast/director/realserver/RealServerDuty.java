package io.ballast.director.realserver;

import io.ballast.core.loop.Loop;
import io.ballast.core.loop.Timer;
import io.ballast.director.xdp.Decapsulation;
import io.ballast.director.xdp.MssClamping;
import io.ballast.director.xdp.XdpDirector;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Keeps this machine the real server that the description wants it to be: {@link RealServer its addresses}, {@link
 * Decapsulation the ends of its tunnels} and {@link MssClamping what its clients may fill them with}. What the kernel makes
 * wait happens on a thread beside the control loop, in the network namespace of the thread that made this; what cannot be
 * done is said once and tried again. Of the last of them nobody tells that it was taken away, so that is looked at again.
 */
public final class RealServerDuty implements AutoCloseable {
    private static final Duration AGAIN = Duration.ofSeconds(10);
    private static final Duration SOON = Duration.ofSeconds(1);

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
    private @Nullable MssClamping clamping;

    // Of the loop.
    private @Nullable Part wanted;
    private List<String> troubles = List.of();
    private @Nullable Timer retry;
    private @Nullable Timer next;

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
        if (next != null) {
            next.cancel();
            next = null;
        }
        thread.execute(() -> {
            String problem = "";
            try {
                for (String line : realServer.become(part.addresses())) {
                    tell(false, line);
                }
                unpack(part);
            } catch (IOException | RuntimeException e) {
                problem = reason(e);
            }
            List<String> found = Stream.of(problem, clamp(part))
                    .filter(each -> !each.isEmpty())
                    .toList();
            loop.execute(() -> done(part, found));
        });
    }

    private static String reason(Exception e) {
        return e.getMessage() == null ? e.toString() : e.getMessage();
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

    /** Says what is not done; the service is there all the same. */
    private String clamp(Part part) {
        try {
            if (part.answers().isEmpty()) {
                letGoOfAnswers();
                MssClamping.dismantle(instance);
                return "";
            }
            if (clamping == null) {
                clamping =
                        MssClamping.open(instance, () -> loop.execute(this::lookSoon), warning -> tell(true, warning));
            }
            List<String> troubles = clamping.become(part.answers());
            return troubles.isEmpty() ? "" : MssClamping.without(part.answers(), String.join("; ", troubles));
        } catch (IOException | RuntimeException e) {
            return part.answers().isEmpty()
                    ? "the program that lowers the MSS of answers cannot be taken away: " + reason(e)
                    : MssClamping.without(part.answers(), reason(e));
        }
    }

    /** Interfaces have changed. There is no hurry, and more will. */
    private void lookSoon() {
        Part part = wanted;
        if (part != null && retry == null) {
            retry = loop.schedule(SOON, () -> begin(part));
        }
    }

    private void letGoOfAnswers() {
        if (clamping != null) {
            clamping.close();
            clamping = null;
        }
    }

    private void letGo() {
        if (tunnels != null) {
            tunnels.close();
            tunnels = null;
        }
    }

    private void done(Part part, List<String> found) {
        if (!part.equals(wanted)) {
            return;
        }
        for (String problem : found) {
            if (!troubles.contains(problem)) {
                journal.note(true, problem);
            }
        }
        if (!found.isEmpty() && retry == null) {
            retry = loop.schedule(AGAIN, () -> begin(part));
        }
        troubles = found;
        if (found.isEmpty()) {
            lookLater(part);
        }
    }

    private void lookLater(Part part) {
        if (part.answers().isEmpty() || next != null) {
            return;
        }
        next = loop.schedule(AGAIN, () -> {
            next = null;
            thread.execute(() -> {
                String problem = clamp(part);
                loop.execute(() -> looked(part, problem));
            });
        });
    }

    private void looked(Part part, String problem) {
        if (!part.equals(wanted) || retry != null) {
            return;
        }
        if (problem.isEmpty()) {
            lookLater(part);
        } else {
            begin(part);
        }
    }

    /** Why the machine is not what it is to be; empty where it is. */
    public List<String> troubles() {
        return troubles;
    }

    /**
     * What came of it since the daemon started.
     *
     * @param unpacked packets taken out of their tunnels
     * @param lowered SYN-ACKs whose MSS was lowered
     */
    public record Figures(long unpacked, long lowered) {}

    /** Nothing where no tunnels end here, or where the kernel lets this one wait; from any thread, which waits a little. */
    public Optional<Figures> figures() {
        CompletableFuture<Optional<Figures>> figures = new CompletableFuture<>();
        thread.execute(() -> {
            try {
                figures.complete(
                        tunnels == null
                                ? Optional.empty()
                                : Optional.of(
                                        new Figures(tunnels.unpacked(), clamping == null ? 0 : clamping.lowered())));
            } catch (IOException | RuntimeException e) {
                figures.complete(Optional.empty());
            }
        });
        return figures.completeOnTimeout(Optional.empty(), 1, TimeUnit.SECONDS).join();
    }

    /** Lets go; the machine stays as it is. */
    @Override
    public void close() {
        thread.execute(() -> {
            letGo();
            letGoOfAnswers();
        });
        thread.shutdown();
    }
}
