package io.ballast.director.xdp;

import io.ballast.testing.OlderKernel;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The data plane once more on Linux 6.1, whose verifier is another. */
@Timeout(1000)
final class OlderKernelTest {
    @Test
    void theDataPlaneHoldsOnAnOlderKernelToo() throws Exception {
        Bench.assumeLoading();
        OlderKernel.run(
                List.of("-Dballast.noise=4000", "-Dballast.connections=2000", "-Dballast.flood=20000"),
                List.of(
                        PacketTest.class,
                        NoiseTest.class,
                        NatTest.class,
                        QuicTest.class,
                        FloodTest.class,
                        CookieTest.class,
                        ScheduleTest.class,
                        XdpEngineTest.class,
                        PersistenceTest.class,
                        SharedFlowsTest.class,
                        AdoptionTest.class,
                        MssClampTest.class,
                        MssClampingTest.class,
                        XdpBenchmarkTest.class));
    }
}
