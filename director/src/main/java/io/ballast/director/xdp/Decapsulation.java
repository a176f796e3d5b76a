package io.ballast.director.xdp;

import io.ballast.linux.bpf.BpfFs;
import io.ballast.linux.bpf.XdpLink;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A real server's end of tunnels, as a program on its interfaces: it needs no tunnel device, and so none of the kernel's
 * tunnel modules nor their settings. Packets go on to be unpacked when this is closed or its process dies; the next one
 * puts its own program in the place of that, between two packets.
 */
public final class Decapsulation implements AutoCloseable {
    private final Interfaces interfaces;
    private final Unpacker unpacker;
    private final List<String> devices;

    private Decapsulation(Interfaces interfaces, Unpacker unpacker, List<String> devices) {
        this.interfaces = interfaces;
        this.unpacker = unpacker;
        this.devices = devices;
    }

    /**
     * Opens it in the network namespace of the calling thread; waits for the kernel.
     *
     * @param bpffs where a bpffs is, or is to be mounted where the machine has none
     * @param instance the name of this real server among others of the machine
     * @param devices the interfaces on which the tunnels end ({@link XdpDirector#devicesOf})
     * @param services whose packets come in them
     * @param ends addresses of this machine to which they lead
     * @param trouble told, on a thread of its own, where the program cannot be on an interface
     * @throws IOException why it cannot be had on this machine, for people
     */
    public static Decapsulation open(
            Path bpffs,
            String instance,
            List<String> devices,
            Set<InetAddress> services,
            Set<InetAddress> ends,
            Consumer<String> trouble)
            throws IOException {
        List<String> missing = XdpSupport.missing();
        if (!missing.isEmpty()) {
            throw new IOException("tunnels cannot be unpacked here: " + String.join("; ", missing));
        }
        Unpacker unpacker = Unpacker.load();
        try {
            unpacker.become(services, ends);
            Path pins = home(BpfFs.ensure(bpffs), instance);
            Files.createDirectories(pins);
            Interfaces interfaces = new Interfaces(pins, devices, states -> tell(states, trouble));
            try {
                interfaces.adopt();
                tell(interfaces.await(() -> interfaces.use(unpacker.program())), trouble);
            } catch (IOException | RuntimeException e) {
                interfaces.close();
                throw e;
            }
            return new Decapsulation(interfaces, unpacker, List.copyOf(devices));
        } catch (IOException | RuntimeException e) {
            unpacker.close();
            throw e;
        }
    }

    private static void tell(List<Interfaces.State> states, Consumer<String> trouble) {
        for (Interfaces.State state : states) {
            if (!state.trouble().isEmpty()) {
                trouble.accept("packets in tunnels are not unpacked on " + state.device() + ": " + state.trouble());
            }
        }
    }

    private static Path home(Path bpffs, String instance) {
        return bpffs.resolve("ballast").resolve(instance.replace('.', '_') + "-tunnels");
    }

    /** The interfaces that it was opened on. */
    public List<String> devices() {
        return devices;
    }

    /** From now on for these services and ends. */
    public void become(Set<InetAddress> services, Set<InetAddress> ends) throws IOException {
        unpacker.become(services, ends);
    }

    /** Packets unpacked since it was opened. */
    public long unpacked() throws IOException {
        return unpacker.unpacked();
    }

    /** Lets go; packets go on to be unpacked. */
    @Override
    public void close() {
        interfaces.close();
        unpacker.close();
    }

    /** Takes away what an instance left; it must not be open. Does nothing where nothing is. */
    public static void dismantle(Path bpffs, String instance) throws IOException {
        for (Path root : new LinkedHashSet<>(List.of(bpffs, BpfFs.DEFAULT))) {
            Path pins = home(root, instance);
            if (!BpfFs.isMounted(root) || !Files.isDirectory(pins)) {
                continue;
            }
            try (DirectoryStream<Path> links = Files.newDirectoryStream(pins)) {
                for (Path pin : links) {
                    try (XdpLink link = XdpLink.openPinned(pin)) {
                        link.detach();
                    }
                    Files.delete(pin);
                }
            }
            Files.delete(pins);
        }
    }
}
