package io.ballast.takeover.wire;

import io.ballast.linux.Capability;
import io.ballast.takeover.lease.LeaseGate;
import io.ballast.testing.OlderKernel;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The sieve once more on Linux 6.1, whose verifier is another; and what only a machine of its own may be done to. */
@Timeout(600)
final class OlderKernelTest {
    @Test
    void aFloodIsSievedOnAnOlderKernelToo() throws Exception {
        Assumptions.assumeTrue(Capability.BPF.isEffective(), "needs CAP_BPF, as what runs in it does");
        Assumptions.assumeTrue(LeaseGate.class.getResource("sieve.bpf.o") != null, "this build has no sieve: no clang");
        OlderKernel.run(List.of(), List.of(SieveTest.class));
    }

    @Test
    void aClockThatJumpsMovesNothing() throws Exception {
        OlderKernel.run(List.of(), List.of(ClockJumpTest.class));
    }
}
