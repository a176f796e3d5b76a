package io.ballast.director.userspace;

/** What the engine tells of an attached worker; called on the control loop's thread. */
public interface WorkerEvents {

    /** It has introduced itself. What it held is adopted: its sockets are open here as well. */
    void greeted(WorkerInfo worker);

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
