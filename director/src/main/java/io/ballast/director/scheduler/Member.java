package io.ballast.director.scheduler;

import org.jspecify.annotations.Nullable;

/**
 * The place of one real server in one scheduler: what it may be given and how much it has. Read it from anywhere on the
 * scheduler's thread; only its {@link Scheduler} changes it, because most keep it sorted by these numbers.
 *
 * <p>A member that was removed keeps counting its connections until they end, and can be added again.
 */
public final class Member {

    /** The largest weight, as in IPVS. */
    public static final int MAX_WEIGHT = 65_535;

    private final String name;
    private int weight;
    private int lastWeight;
    private int limit;
    private boolean eligible;
    private int active;
    private int inactive;

    /** The scheduler it is in; null before it is added and after it is removed. */
    @Nullable
    Scheduler owner;

    /** When its turn is among members of the same load, in units that only {@link AbstractScheduler} knows. */
    long turn;

    /** Its place in the order of addition; meaningful while it has an owner. */
    int index = -1;

    /** Its place in each {@link MemberHeap}, by the heap's slot; -1 while it is not in that heap. */
    int[] places = {-1};

    /** Whether {@link Locality} counts it among those with room to spare. */
    boolean roomy;

    /** The weight with which it stands in a hash table; -1 while it is in none. */
    int tableWeight = -1;

    /**
     * A server without connections.
     *
     * @param name unique in its scheduler; Maglev hashing derives the server's slots from it, so directors that should
     *     agree must use the same names
     * @param weight 0 to {@link #MAX_WEIGHT}; 0 takes no new connections
     * @param limit connections at a time, 0 for none
     * @param eligible whether checks and operator allow new connections
     */
    public Member(String name, int weight, int limit, boolean eligible) {
        this.name = name;
        set(weight, limit, eligible);
    }

    /** The server's name. */
    public String name() {
        return name;
    }

    /** Its share in comparison with the others; 0 takes no new connections. */
    public int weight() {
        return weight;
    }

    /** Connections that carry bytes in both directions (TCP), or live flows (UDP). */
    public int connections() {
        return active;
    }

    /** Connections of which one direction is closed. */
    public int inactive() {
        return inactive;
    }

    /** How many connections, active and inactive, it may have at a time; 0 for any number. */
    public int limit() {
        return limit;
    }

    /** Whether checks and operator allow new connections. */
    public boolean eligible() {
        return eligible;
    }

    /** Whether it has as many connections as its limit allows. */
    public boolean full() {
        return limit > 0 && active + inactive >= limit;
    }

    /** Whether it can be picked now: in a scheduler, eligible, with a weight, and below its limit. */
    public boolean available() {
        return owner != null && eligible && weight > 0 && !full();
    }

    /** The last weight that was not 0: hash tables keep a draining server's slots, so that nobody else's move. */
    int lastWeight() {
        return lastWeight;
    }

    /** What IPVS calls the overhead: an inactive connection costs about 1/256 of an active one. */
    long overhead() {
        return ((long) active << 8) + inactive;
    }

    void set(int newWeight, int newLimit, boolean nowEligible) {
        if (newWeight < 0 || newWeight > MAX_WEIGHT) {
            throw new IllegalArgumentException(
                    "server " + name + ": weight " + newWeight + " is not within 0 to " + MAX_WEIGHT);
        }
        if (newLimit < 0) {
            throw new IllegalArgumentException("server " + name + ": limit " + newLimit + " is below 0 (none)");
        }
        weight = newWeight;
        lastWeight = newWeight == 0 ? lastWeight : newWeight;
        limit = newLimit;
        eligible = nowEligible;
    }

    void count(int activeChange, int inactiveChange) {
        if (active + activeChange < 0 || inactive + inactiveChange < 0) {
            throw new IllegalStateException("server " + name + ": a connection was closed that was not open (active "
                    + active + ", inactive " + inactive + ")");
        }
        active += activeChange;
        inactive += inactiveChange;
    }

    @Override
    public String toString() {
        return name + "[weight " + weight + ", active " + active + ", inactive " + inactive
                + (limit > 0 ? ", limit " + limit : "") + (eligible ? "" : ", not eligible") + "]";
    }
}
