package io.ballast.director.userspace;

import io.ballast.director.Forwarding;
import java.util.Map;

/** What the engine tells of an attached worker; called on the control loop's thread. */
public interface WorkerEvents {

    /**
     * It has introduced itself, and nothing has been sent to it yet. The first worker of an engine without a table is
     * adopted: what it forwards is the table from here on, until it is {@linkplain UserspaceEngine#put put} otherwise or
     * {@linkplain UserspaceEngine#remove removed}, and its sockets are open here as well.
     *
     * @param forwards what it forwards, by service
     */
    void greeted(WorkerInfo worker, Map<String, Forwarding> forwards);

    /** It has the whole table and all sockets; workers before it were told to drain. */
    void serving(WorkerInfo worker);

    /**
     * Its channel has ended, by its death or because another node process has taken it over.
     *
     * @param worker what is known of it; pid 0 where it never introduced itself
     * @param drained whether it ended as it was told to
     */
    void gone(WorkerInfo worker, boolean drained, String reason);
}
