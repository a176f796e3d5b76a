package io.ballast.lab.farm;

import java.io.IOException;

/** Puts back what was taken away. */
@FunctionalInterface
public interface Restoring {
    /** Does so. */
    void restore() throws IOException, InterruptedException;
}
