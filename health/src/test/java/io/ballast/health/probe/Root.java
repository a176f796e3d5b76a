package io.ballast.health.probe;

import org.junit.jupiter.api.Assumptions;

/** For tests that only root can run; others are told why they are skipped. */
final class Root {

    private Root() {}

    static void assume(String what) {
        boolean root = "root".equals(System.getProperty("user.name"));
        if (!root) {
            System.out.println("skipped: needs root for " + what);
        }
        Assumptions.assumeTrue(root, "needs root for " + what);
    }
}
