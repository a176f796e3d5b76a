package io.ballast.core.sim;

import io.ballast.core.loop.Loop;
import io.ballast.core.loop.Timer;

/**
 * The control loop of one simulated node. A task that fails ends the run at once with its exception, because in a
 * simulation that is a finding.
 */
public final class SimulatedLoop implements Loop {
    private final String name;
    private final VirtualTime time;
    private boolean ended;
    private boolean running;

    SimulatedLoop(String name, VirtualTime time) {
        this.name = name;
        this.time = time;
    }

    @Override
    public long now() {
        return time.now();
    }

    @Override
    public void execute(Runnable task) {
        scheduleAt(time.now(), task);
    }

    @Override
    public Timer scheduleAt(long at, Runnable task) {
        return time.add(at, this, task);
    }

    @Override
    public boolean inLoop() {
        return running;
    }

    /** The node dies: what it had to do is never done. */
    public void crash() {
        ended = true;
    }

    boolean ended() {
        return ended;
    }

    void run(Runnable task) {
        running = true;
        try {
            task.run();
        } finally {
            running = false;
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
