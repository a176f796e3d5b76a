package io.ballast.core.loop;

/** A task that waits for its time. */
public interface Timer {

    /**
     * Takes it back. Called by a task of the loop, the timer's task does not run any more; called by another thread, it
     * may just have begun. Cancelling twice, or too late, does no harm.
     */
    void cancel();
}
