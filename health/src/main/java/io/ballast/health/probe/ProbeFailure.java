package io.ballast.health.probe;

/** The server did not do what the check expects; the message says so for people, without what came before. */
final class ProbeFailure extends Exception {

    ProbeFailure(String reason) {
        super(reason);
    }
}
