package io.ballast.core.config;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * One machine.
 *
 * @param interfaces its network interfaces with their addresses; may be empty where only the name matters
 */
public record NodeSpec(String name, List<InterfaceSpec> interfaces) {

    /**
     * One network interface of a node.
     *
     * @param addresses the addresses it has, each with its prefix length
     */
    public record InterfaceSpec(String name, List<Cidr> addresses) {}

    /** An address with the length of its network prefix, for instance {@code 192.0.2.1/24}. */
    public record Cidr(InetAddress address, int prefixLength) {

        /** The first address of the network that it lies in. */
        public InetAddress network() {
            byte[] bytes = address.getAddress();
            for (int bit = prefixLength; bit < bytes.length * 8; bit++) {
                bytes[bit >> 3] &= (byte) ~(0x80 >>> (bit & 7));
            }
            try {
                return InetAddress.getByAddress(bytes);
            } catch (UnknownHostException e) {
                throw new IllegalStateException("an address of the length of another", e);
            }
        }

        /** Whether {@code other} lies in this network; false across address families. */
        public boolean contains(InetAddress other) {
            byte[] mine = address.getAddress();
            byte[] its = other.getAddress();
            if (mine.length != its.length) {
                return false;
            }
            for (int bit = 0; bit < prefixLength; bit++) {
                int mask = 0x80 >>> (bit & 7);
                if (((mine[bit >> 3] ^ its[bit >> 3]) & mask) != 0) {
                    return false;
                }
            }
            return true;
        }

        @Override
        public String toString() {
            return Addresses.print(address) + "/" + prefixLength;
        }
    }

    /**
     * The address that stands for the node where it is to serve: the first that lies in a network of one of the
     * directors, else the first.
     *
     * @param taken addresses that are no answer, because the service listens there
     */
    public Optional<InetAddress> addressFor(Collection<NodeSpec> directors, Collection<InetAddress> taken) {
        List<InetAddress> addresses = interfaces.stream()
                .flatMap(i -> i.addresses().stream())
                .map(Cidr::address)
                .filter(a -> !taken.contains(a))
                .toList();
        return directors.stream()
                .filter(d -> !d.name().equals(name))
                .flatMap(d -> d.interfaces().stream())
                .flatMap(i -> i.addresses().stream())
                .flatMap(net -> addresses.stream().filter(net::contains))
                .findFirst()
                .or(() -> addresses.stream().findFirst());
    }

    /** The interface of this name. */
    public Optional<InterfaceSpec> interfaceNamed(String wanted) {
        return interfaces.stream().filter(i -> i.name().equals(wanted)).findFirst();
    }

    /** All its addresses. */
    public Stream<Cidr> addresses() {
        return interfaces.stream().flatMap(i -> i.addresses().stream());
    }

    /** Whether one of the node's interfaces has exactly this address. */
    public boolean hasAddress(InetAddress address) {
        return addresses().anyMatch(c -> c.address().equals(address));
    }
}
