package io.ballast.linux.bpf;

import io.ballast.testing.OlderKernel;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The tests of this package once more, on Linux 6.1. */
@Timeout(400)
class OlderKernelTest {
    @Test
    void everythingHoldsOnAnOlderKernelToo() throws Exception {
        Fixture.object("count"); // compiled here, since the guest cannot write
        OlderKernel.run(
                List.of(), List.of(BpfMapTest.class, BpfObjectTest.class, RingBufferTest.class, XdpLinkTest.class));
    }
}
