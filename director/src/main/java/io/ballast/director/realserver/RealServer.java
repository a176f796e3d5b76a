package io.ballast.director.realserver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.ballast.core.config.Addresses;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Address.Flag;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.Scope;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Gives a real server the addresses of its services without the network noticing. Packets of direct routing and of
 * tunnels are still addressed to the service, so each real server has the service's address too, but must not say so:
 * whoever answers ARP for it takes the director's traffic. The address is put on the loopback interface ({@code /32},
 * {@code /128}), where IPv6 never answers neighbour solicitations for it, and for IPv4 the kernel is told first to answer
 * ARP only for addresses of the interface that is asked ({@code arp_ignore=1}) and to ask with such addresses only
 * ({@code arp_announce=2}).
 *
 * <p>What was changed is in a file, written before the change, so that a later process takes away exactly what this one
 * has put there; an address that somebody else gave stays. A daemon that stops leaves everything: the web server beside it
 * goes on, and so do the director's checks of it.
 */
public final class RealServer {
    private static final String ARP_IGNORE = "net.ipv4.conf.all.arp_ignore";
    private static final String ARP_ANNOUNCE = "net.ipv4.conf.all.arp_announce";
    private static final int LOOPBACK = 1;

    private final Path file;

    /** @param file where what was changed is kept; it should not outlive a boot */
    public RealServer(Path file) {
        this.file = file;
    }

    /** What this or an earlier process has changed. */
    private record Changes(Set<InetAddress> addresses, List<Sysctl.Change> settings) {}

    /**
     * Brings the machine to this part, in the network namespace of the calling thread; what it has already is not touched.
     * Needs CAP_NET_ADMIN.
     *
     * @return what was done, for people; empty where nothing was to do
     * @throws IOException what could not be done; calling again goes on from there
     */
    public List<String> become(Set<InetAddress> wanted) throws IOException {
        Changes changes = load();
        List<String> done = new ArrayList<>();
        if (wanted.isEmpty()
                && changes.addresses().isEmpty()
                && changes.settings().isEmpty()) {
            return done;
        }
        try (RouteNetlink netlink = RouteNetlink.open()) {
            Set<InetAddress> there = new LinkedHashSet<>();
            for (Address address : netlink.addresses()) {
                if (address.link() == LOOPBACK) {
                    there.add(address.address());
                }
            }
            Set<InetAddress> mine = new LinkedHashSet<>(changes.addresses());
            mine.retainAll(there); // what somebody took away is not mine any more
            for (InetAddress address : Set.copyOf(mine)) {
                if (!wanted.contains(address)) {
                    netlink.remove(onLoopback(address));
                    mine.remove(address);
                    done.add("no longer takes packets for " + Addresses.print(address));
                }
            }
            List<Sysctl.Change> settings = changes.settings();
            if (wanted.stream().anyMatch(Inet4Address.class::isInstance)) {
                settings = hushed(mine, settings);
            } else {
                for (Sysctl.Change setting : settings) {
                    Sysctl.undo(setting);
                }
                settings = List.of();
            }
            for (InetAddress address : wanted) {
                if (!there.contains(address)) {
                    mine.add(address);
                    save(new Changes(mine, settings));
                    netlink.add(onLoopback(address));
                    done.add("takes packets for " + Addresses.print(address) + ", as a real server of it");
                }
            }
            save(new Changes(mine, settings));
        } catch (LinuxException e) {
            throw e.errno() == Errno.EPERM ? notPermitted(e) : e;
        }
        return done;
    }

    private static IOException notPermitted(LinuxException e) {
        return new IOException("a real server of direct routing or a tunnel needs the service's address on lo, and this"
                + " process may not put it there (CAP_NET_ADMIN): run it as root, or do it by hand and leave it: "
                + e.getMessage());
    }

    private List<Sysctl.Change> hushed(Set<InetAddress> mine, List<Sysctl.Change> settings) throws IOException {
        List<Sysctl.Change> all = new ArrayList<>(settings);
        for (String[] wanted : new String[][] {{ARP_IGNORE, "1"}, {ARP_ANNOUNCE, "2"}}) {
            String before = Sysctl.read(wanted[0]);
            if (Integer.parseInt(before) >= Integer.parseInt(wanted[1])) {
                continue;
            }
            if (all.stream().noneMatch(c -> c.name().equals(wanted[0]))) {
                all.add(new Sysctl.Change(wanted[0], before, wanted[1]));
                save(new Changes(mine, all));
            }
            Sysctl.write(wanted[0], wanted[1]);
        }
        return all;
    }

    private static Address onLoopback(InetAddress address) {
        boolean ipv4 = address instanceof Inet4Address;
        Address whole = Address.of(LOOPBACK, address, ipv4 ? 32 : 128);
        return ipv4 ? whole.withScope(Scope.HOST) : whole.withFlags(Set.of(Flag.NODAD));
    }

    // ---- The file

    private Changes load() throws IOException {
        String text;
        try {
            text = Files.readString(file);
        } catch (NoSuchFileException e) {
            return new Changes(Set.of(), List.of());
        }
        try {
            JsonObject json = JsonParser.parseString(text).getAsJsonObject();
            Set<InetAddress> addresses = new LinkedHashSet<>();
            for (JsonElement address : json.getAsJsonArray("addresses")) {
                addresses.add(InetAddress.ofLiteral(address.getAsString()));
            }
            List<Sysctl.Change> settings = new ArrayList<>();
            for (JsonElement element : json.getAsJsonArray("settings")) {
                JsonArray setting = element.getAsJsonArray();
                settings.add(new Sysctl.Change(
                        setting.get(0).getAsString(),
                        setting.get(1).getAsString(),
                        setting.get(2).getAsString()));
            }
            return new Changes(addresses, settings);
        } catch (JsonParseException
                | IllegalStateException
                | IllegalArgumentException
                | IndexOutOfBoundsException
                | NullPointerException
                | UnsupportedOperationException e) {
            throw new IOException(
                    file
                            + " is damaged, so it is not known which addresses on lo are ballast's: look at `ip address show"
                            + " lo`, remove those, and this file",
                    e);
        }
    }

    private void save(Changes changes) throws IOException {
        if (changes.addresses().isEmpty() && changes.settings().isEmpty()) {
            Files.deleteIfExists(file);
            return;
        }
        JsonArray addresses = new JsonArray();
        changes.addresses().forEach(address -> addresses.add(Addresses.print(address)));
        JsonArray settings = new JsonArray();
        for (Sysctl.Change change : changes.settings()) {
            JsonArray setting = new JsonArray();
            setting.add(change.name());
            setting.add(change.before());
            setting.add(change.after());
            settings.add(setting);
        }
        JsonObject json = new JsonObject();
        json.add("addresses", addresses);
        json.add("settings", settings);
        Path fresh = file.resolveSibling(file.getFileName() + ".new");
        Files.writeString(fresh, json.toString());
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }
}
