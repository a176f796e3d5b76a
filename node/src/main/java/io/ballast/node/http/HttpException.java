package io.ballast.node.http;

/** A request that gets an error for an answer; the message is for whoever sent it. */
public final class HttpException extends Exception {
    private static final long serialVersionUID = 1L;
    private final int status;

    /** An error with the status code of RFC 9110, section 15. */
    public HttpException(int status, String message) {
        super(message);
        this.status = status;
    }

    /** The status code. */
    public int status() {
        return status;
    }
}
