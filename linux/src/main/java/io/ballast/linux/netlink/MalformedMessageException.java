package io.ballast.linux.netlink;

import java.io.IOException;

/** A netlink message whose lengths or values contradict each other. The kernel sends none: a defect on either side. */
public final class MalformedMessageException extends IOException {
    private static final long serialVersionUID = 1L;

    MalformedMessageException(String message) {
        super("malformed netlink message: " + message);
    }
}
