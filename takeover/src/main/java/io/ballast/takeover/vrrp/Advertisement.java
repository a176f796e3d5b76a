package io.ballast.takeover.vrrp;

import java.net.InetAddress;
import java.util.List;

/**
 * What the master of a virtual router says of itself (RFC 9568 section 5.2, RFC 3768 section 5.3).
 *
 * @param version 2 or 3
 * @param routerId the virtual router, 1 to 255
 * @param priority 1 to 255, which is the addresses' owner; 0 from a master that is leaving
 * @param interval until the next one, in nanoseconds; version 2 knows whole seconds from 1 to 255, version 3 hundredths
 *     from 1 to 4095
 * @param addresses that the virtual router stands for, all of one family, 1 to 255 of them
 */
public record Advertisement(int version, int routerId, int priority, long interval, List<InetAddress> addresses) {
    /** Of a master that is leaving. */
    public static final int LEAVES = 0;

    /** Of the router whose own addresses they are. */
    public static final int OWNER = 255;

    static final long SECOND = 1_000_000_000L;
    static final long CENTISECOND = 10_000_000L;

    public Advertisement {
        addresses = List.copyOf(addresses);
        if (version != 2 && version != 3) {
            throw new IllegalArgumentException("VRRP version " + version + ": there are 2 and 3");
        }
        if (routerId < 1 || routerId > 255) {
            throw new IllegalArgumentException("virtual router " + routerId + ": from 1 to 255");
        }
        if (priority < 0 || priority > OWNER) {
            throw new IllegalArgumentException("priority " + priority + ": from 0 to 255");
        }
        long unit = unit(version);
        if (interval % unit != 0 || interval < unit || interval > most(version) * unit) {
            throw new IllegalArgumentException("interval " + interval + " ns: version " + version + " has multiples of "
                    + unit + " up to " + most(version) * unit);
        }
        if (addresses.isEmpty() || addresses.size() > 255) {
            throw new IllegalArgumentException(addresses.size() + " addresses: from 1 to 255");
        }
        int length = addresses.getFirst().getAddress().length;
        for (InetAddress address : addresses) {
            if (address.getAddress().length != length) {
                throw new IllegalArgumentException(address.getHostAddress() + " is of another family than "
                        + addresses.getFirst().getHostAddress());
            }
        }
        if (version == 2 && length != 4) {
            throw new IllegalArgumentException("VRRP version 2 is for IPv4 only");
        }
    }

    /** Nanoseconds that one unit of an interval stands for. */
    static long unit(int version) {
        return version == 2 ? SECOND : CENTISECOND;
    }

    /** The longest interval, in units. */
    static long most(int version) {
        return version == 2 ? 255 : 4095;
    }

    /** The same of another priority. */
    public Advertisement of(int otherPriority) {
        return new Advertisement(version, routerId, otherPriority, interval, addresses);
    }
}
