package io.ballast.takeover.address;

import io.ballast.testing.OlderKernel;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Addresses and their announcements once more, on the kernel of user-mode Linux. */
class OlderKernelTest {
    @Test
    @Timeout(900)
    void addressesOnTheKernelOfUserModeLinux() throws Exception {
        OlderKernel.run(List.of(), List.of(AddressKeeperTest.class, AnnouncerTest.class, DuplicatesTest.class));
    }
}
