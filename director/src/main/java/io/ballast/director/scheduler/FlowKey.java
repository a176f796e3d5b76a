package io.ballast.director.scheduler;

/**
 * What a scheduler may know about a new connection: who asks, and for which address. An address is held as the 128 bits
 * of its IPv6 form, with IPv4 mapped into ::ffff:0:0/96, so that nothing needs to be parsed or copied later.
 *
 * @param sourceHigh the client's address, upper 64 bits
 * @param sourceLow the client's address, lower 64 bits
 * @param sourcePort the client's port, 0 to 65535
 * @param destinationHigh the address the client asked for (the virtual one), upper 64 bits
 * @param destinationLow the same, lower 64 bits
 */
public record FlowKey(long sourceHigh, long sourceLow, int sourcePort, long destinationHigh, long destinationLow) {

    private static final long MAPPED = 0x0000_ffff_0000_0000L;

    /**
     * From raw addresses as {@code InetAddress.getAddress()} returns them.
     *
     * @throws IllegalArgumentException an address has neither 4 nor 16 bytes
     */
    public static FlowKey of(byte[] source, int sourcePort, byte[] destination) {
        return new FlowKey(high(source), low(source), sourcePort, high(destination), low(destination));
    }

    /** Whether the client's address is an IPv4 one. */
    public boolean sourceIsIpv4() {
        return isIpv4(sourceHigh, sourceLow);
    }

    static boolean isIpv4(long high, long low) {
        return high == 0 && low >>> 32 == 0xffff;
    }

    /** The address as the 32 bits that IPVS hashes: an IPv4 address itself, an IPv6 one with its four words xored. */
    static int fold(long high, long low) {
        if (isIpv4(high, low)) {
            return (int) low;
        }
        long both = high ^ low;
        return (int) (both >>> 32) ^ (int) both;
    }

    /**
     * All 128 bits and one more number in 64 well spread ones: a sum of products, and SplitMix64's finalizer. The same as
     * in the eBPF director's {@code hash.h}, so that directors agree whatever their engine.
     */
    public static long mix(long high, long low, long extra) {
        return mix(low + high * 0xd1342543de82ef95L + (extra + 1) * 0x9e3779b97f4a7c15L);
    }

    static long mix(long value) {
        long z = (value ^ (value >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }

    private static long high(byte[] address) {
        return address.length == 4 ? 0 : word(address, 0, 8);
    }

    private static long low(byte[] address) {
        return switch (address.length) {
            case 4 -> MAPPED | word(address, 0, 4);
            case 16 -> word(address, 8, 8);
            default ->
                throw new IllegalArgumentException(
                        "an address of " + address.length + " bytes: it must have 4 (IPv4) or 16 (IPv6)");
        };
    }

    private static long word(byte[] address, int from, int count) {
        if (from + count > address.length) {
            throw new IllegalArgumentException(
                    "an address of " + address.length + " bytes: it must have 4 (IPv4) or 16 (IPv6)");
        }
        long word = 0;
        for (int i = from; i < from + count; i++) {
            word = word << 8 | (address[i] & 0xff);
        }
        return word;
    }
}
