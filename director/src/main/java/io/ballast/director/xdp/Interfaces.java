package io.ballast.director.xdp;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.XdpLink;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.RouteWatch;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the program on the interfaces that it belongs on: those that come get it, those that went and came back get it
 * anew, and where it cannot be it says why and tries again.
 *
 * <p>Attaching waits for the driver and for other changes of the network, so a thread of its own does it. A link that is
 * not pinned yet goes with the process, so nothing is left half done.
 */
final class Interfaces implements AutoCloseable {

    /**
     * An interface that packets of services arrive on.
     *
     * @param mode how the program runs there; null where it does not
     * @param trouble why it does not, for people; empty where it does
     */
    record State(String device, XdpLink.@Nullable Mode mode, String trouble) {}

    private final Path pins;
    private final List<String> names;
    private final Consumer<List<State>> listener;
    private final RouteNetlink netlink;
    private final RouteWatch watch;
    private final AtomicBoolean due = new AtomicBoolean();
    private final ThreadPoolExecutor thread = new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            Thread.ofPlatform().name("xdp interfaces").daemon().factory(),
            new ThreadPoolExecutor.DiscardPolicy());

    private volatile Map<Integer, Link> links = Map.of();
    private volatile boolean following;

    // Of the thread.
    private final Map<Integer, XdpLink> held = new LinkedHashMap<>();
    private @Nullable BpfProgram program;
    private int programId;
    private List<State> told = List.of();

    /**
     * For the network namespace of the calling thread.
     *
     * @param pins the folder for links, which is there
     * @param names of the interfaces
     * @param listener hears of changes, on this one's thread
     */
    Interfaces(Path pins, List<String> names, Consumer<List<State>> listener) throws IOException {
        this.pins = pins;
        this.names = List.copyOf(names);
        this.listener = listener;
        netlink = RouteNetlink.open();
        try {
            // The thread is of this namespace because it is made by this one's.
            thread.prestartCoreThread();
            watch = RouteWatch.start(EnumSet.of(RouteWatch.Topic.LINKS), event -> look());
        } catch (IOException | RuntimeException e) {
            thread.shutdownNow();
            netlink.close();
            throw e;
        }
    }

    /** What is known of an interface by its number; null where there is none. */
    @Nullable
    Link link(int index) {
        return links.get(index);
    }

    /** Where packets of an interface arrive first: of a VLAN or macvlan the one below; null where there is none. */
    @Nullable
    Link below(String name) {
        Map<Integer, Link> known = links;
        return known.values().stream()
                .filter(each -> each.name().equals(name))
                .findAny()
                .map(link -> below(known, link.index()))
                .orElse(null);
    }

    /** The same among these interfaces, by number. */
    @Nullable
    static Link below(Map<Integer, Link> links, int index) {
        Link link = links.get(index);
        while (link != null
                && (link.kind().equals("vlan") || link.kind().equals("macvlan"))
                && !link.peerElsewhere()
                && links.containsKey(link.peer())) {
            link = links.get(link.peer());
        }
        return link;
    }

    /** Runs something that waits for the kernel, on this one's thread. */
    void execute(Runnable task) {
        thread.execute(task);
    }

    /** Finds what an earlier process left, and says how the interfaces are. On any thread, before all else. */
    List<State> adopt() throws IOException {
        return await(() -> {
            try (DirectoryStream<Path> found = Files.newDirectoryStream(pins)) {
                for (Path pin : found) {
                    adopt(pin);
                }
            }
            told = look(netlink.links());
            return told;
        });
    }

    private void adopt(Path pin) throws IOException {
        XdpLink link = XdpLink.openPinned(pin);
        int index = link.info().ifindex();
        if (index == 0) {
            link.close();
            Files.delete(pin);
        } else {
            held.put(index, link);
        }
    }

    /**
     * The program that belongs on the interfaces from now on; it takes the place of another one of ours between two
     * packets. It is closed here. Called by this one's thread.
     */
    List<State> use(BpfProgram next) throws IOException {
        if (program != null) {
            program.close();
        }
        program = next;
        programId = next.info().id();
        told = look(netlink.links());
        return told;
    }

    /** Has this one's thread do something, and waits for it. */
    <T> T await(Callable<T> task) throws IOException {
        try {
            return thread.submit(task).get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while attaching to interfaces", e);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException cause ? cause : new IOException(e.getCause());
        }
    }

    /** Tells the listener of changes from now on. */
    void follow() {
        following = true;
        look();
    }

    /** Has a look soon; from any thread. */
    void look() {
        if (following && !due.getAndSet(true)) {
            thread.execute(() -> {
                due.set(false);
                try {
                    List<State> now = look(netlink.links());
                    if (!now.equals(told)) {
                        told = now;
                        listener.accept(now);
                    }
                } catch (IOException e) {
                    told = troubles(String.valueOf(e.getMessage()));
                    listener.accept(told);
                }
            });
        }
    }

    private List<State> troubles(String trouble) {
        return names.stream().map(name -> new State(name, null, trouble)).toList();
    }

    private List<State> look(List<Link> now) throws IOException {
        Map<Integer, Link> byIndex = new HashMap<>();
        Map<String, Link> byName = new HashMap<>();
        for (Link link : now) {
            byIndex.put(link.index(), link);
            byName.put(link.name(), link);
        }
        links = Map.copyOf(byIndex);
        letGo(byIndex);
        List<State> states = new ArrayList<>();
        for (String name : names) {
            Link link = byName.get(name);
            states.add(
                    link == null
                            ? new State(name, null, "there is no interface " + name + "; it is waited for")
                            : look(link));
        }
        return states;
    }

    /** Of interfaces that are gone, or not wanted any more. */
    private void letGo(Map<Integer, Link> byIndex) throws IOException {
        for (Map.Entry<Integer, XdpLink> each : List.copyOf(held.entrySet())) {
            int index = each.getKey();
            Link link = byIndex.get(index);
            boolean gone = each.getValue().info().ifindex() == 0;
            if (gone || link == null || !names.contains(link.name())) {
                if (!gone) {
                    each.getValue().detach();
                }
                each.getValue().close();
                Files.deleteIfExists(pin(index));
                held.remove(index);
            }
        }
    }

    private Path pin(int index) {
        // By number: a bpffs takes no dots in names, which interfaces may have.
        return pins.resolve(Integer.toString(index));
    }

    private State look(Link link) {
        XdpLink place = held.get(link.index());
        BpfProgram wanted = program;
        try {
            if (wanted == null) {
                return place == null
                        ? new State(link.name(), null, "the program is not attached yet")
                        : new State(link.name(), mode(link), "");
            }
            if (place == null) {
                return attach(link, wanted);
            }
            if (place.info().programId() != programId) {
                place.update(wanted);
            }
            return new State(link.name(), mode(link), "");
        } catch (IOException e) {
            return new State(link.name(), null, trouble(link, e));
        }
    }

    private static XdpLink.Mode mode(Link link) {
        Link.Xdp xdp = link.xdp();
        return xdp != null && xdp.mode() == Link.Xdp.Mode.GENERIC ? XdpLink.Mode.GENERIC : XdpLink.Mode.NATIVE;
    }

    private State attach(Link link, BpfProgram wanted) throws IOException {
        try {
            return attach(link, wanted, XdpLink.Mode.NATIVE);
        } catch (LinuxException e) {
            if (e.errno() != Errno.EOPNOTSUPP) {
                throw e;
            }
            return attach(link, wanted, XdpLink.Mode.GENERIC);
        }
    }

    private State attach(Link link, BpfProgram wanted, XdpLink.Mode mode) throws IOException {
        XdpLink place = XdpLink.attach(wanted, link.index(), link.name(), mode);
        try {
            Files.deleteIfExists(pin(link.index()));
            place.pin(pin(link.index()));
        } catch (IOException | RuntimeException e) {
            place.close();
            throw e;
        }
        held.put(link.index(), place);
        return new State(link.name(), mode, "");
    }

    private static String trouble(Link link, IOException e) {
        boolean foreign =
                e instanceof LinuxException error && (error.errno() == Errno.EBUSY || error.errno() == Errno.EEXIST);
        return e.getMessage()
                + (foreign
                        ? ". Ballast replaces nobody else's program: end what attached it, or take it off with `ip link"
                                + " set dev " + link.name() + " xdp off`; this is tried again every second"
                        : "");
    }

    /** Lets go of the links, which stay where they are. */
    @Override
    public void close() {
        watch.close();
        thread.execute(() -> {
            held.values().forEach(XdpLink::close);
            held.clear();
            if (program != null) {
                program.close();
            }
            netlink.close();
        });
        thread.shutdown();
    }
}
