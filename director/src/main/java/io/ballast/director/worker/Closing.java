package io.ballast.director.worker;

/** Something with a socket that is closed when the events at hand are through; see {@link Loop#bury}. */
interface Closing {
    void closeNow();
}
