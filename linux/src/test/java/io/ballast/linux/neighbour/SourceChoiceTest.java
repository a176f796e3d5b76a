package io.ballast.linux.neighbour;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.netlink.Address;
import java.net.InetAddress;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SourceChoiceTest {
    private static final InetAddress VIP = address("fd00:10::80");
    private static final InetAddress OWN = address("fd00:10::1");
    private static final InetAddress SERVER = address("fd00:10::11");
    private static final List<Address> ADDRESSES = List.of(
            Address.of(2, VIP, 64),
            Address.of(2, address("fd00:77::1"), 64),
            Address.of(2, OWN, 64),
            Address.of(3, address("fd00:10::3"), 64),
            Address.of(3, address("192.0.2.1"), 24));

    private static InetAddress address(String text) {
        return InetAddress.ofLiteral(text);
    }

    @Test
    void theKernelsChoiceStaysUnlessItIsAService() {
        assertThat(SourceChoice.beside(OWN, SERVER, 2, ADDRESSES, Set.of(VIP))).hasValue(OWN);
        assertThat(SourceChoice.beside(VIP, SERVER, 2, ADDRESSES, Set.of(VIP))).hasValue(OWN);
        assertThat(SourceChoice.beside(VIP, SERVER, 2, ADDRESSES.subList(0, 1), Set.of(VIP)))
                .isEmpty();
        assertThat(SourceChoice.beside(VIP, SERVER, 2, ADDRESSES, Set.of(VIP, OWN)))
                .as("another network's is better than a service's")
                .hasValue(address("fd00:77::1"));
    }

    @Test
    void anyOfTheFamilyWillDoForAnAnswer() {
        assertThat(SourceChoice.any(OWN, SERVER, 2, true, ADDRESSES, Set.of(VIP)))
                .hasValue(OWN);
        assertThat(SourceChoice.any(null, SERVER, 2, true, ADDRESSES, Set.of(VIP)))
                .hasValue(OWN);
        assertThat(SourceChoice.any(OWN, SERVER, 2, false, ADDRESSES, Set.of(VIP)))
                .as("a tunnel of the other family, on another interface")
                .hasValue(address("192.0.2.1"));
        assertThat(SourceChoice.any(OWN, SERVER, 2, false, ADDRESSES.subList(0, 3), Set.of(VIP)))
                .isEmpty();
    }
}
