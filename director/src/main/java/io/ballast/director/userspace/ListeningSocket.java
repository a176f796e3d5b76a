package io.ballast.director.userspace;

import io.ballast.linux.Descriptor;

/**
 * An open listening socket of the engine. To be handed to a worker it needs no second descriptor: whoever is about to
 * send it {@linkplain #hold() holds} it, and it is closed once the engine has {@linkplain #release() let go} of it and
 * nobody holds it any more. So ten thousand sockets take ten thousand descriptors, also while they are on their way.
 */
final class ListeningSocket {
    private final Descriptor descriptor;
    private int holders = 1;

    /** Owns the descriptor; the one who made it is its first holder. */
    ListeningSocket(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /** The descriptor, for a holder to send; it stays this socket's. */
    Descriptor descriptor() {
        return descriptor;
    }

    /** Keeps it open until a further {@link #release()}. Only a holder may ask for more. */
    synchronized ListeningSocket hold() {
        if (holders == 0) {
            throw new IllegalStateException(descriptor.label() + ": held after it was closed");
        }
        holders++;
        return this;
    }

    /** One holder less; the last one closes it. From any thread. */
    synchronized void release() {
        if (holders > 0 && --holders == 0) {
            descriptor.close();
        }
    }
}
