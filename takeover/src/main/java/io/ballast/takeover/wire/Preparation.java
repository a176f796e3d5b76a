package io.ballast.takeover.wire;

/**
 * What this node has to know before it takes addresses from another one that serves them well. On any thread; nothing of it
 * waits.
 */
public interface Preparation {
    /** Nothing. */
    Preparation NONE = new Preparation() {
        @Override
        public void again() {}

        @Override
        public boolean isReady() {
            return true;
        }
    };

    /** The network was away and is back, or this process stood still: what it knows may be old. */
    void again();

    /** Whether it knows all that it can be told. In the end it is always ready: who does not tell is not waited for. */
    boolean isReady();
}
