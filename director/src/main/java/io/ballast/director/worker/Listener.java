package io.ballast.director.worker;

import io.ballast.core.config.Endpoint;
import java.io.IOException;

/** A socket of a service that clients send to; belongs to its {@link Balancer}'s loop. */
interface Listener {

    Endpoint endpoint();

    void start() throws IOException;

    /** Something that may have held it back has changed. */
    void resume();

    void close();
}
