package io.ballast.director.scheduler;

/**
 * What the hashing kinds ({@code sh}, {@code dh}, {@code mh}) can be told; IPVS calls them scheduler flags and sets the
 * table sizes when the kernel is built.
 *
 * @param port whether the client's port counts as well ({@code sh-port}, {@code mh-port}): its connections then spread
 *     over the servers
 * @param fallback whether a client whose server is not available goes to another one ({@code sh-fallback},
 *     {@code mh-fallback}) instead of being refused
 * @param slots size of the table, 0 for the kind's default: 256 for {@code sh} and {@code dh}, 65537 for {@code mh}; a
 *     power of two for the former, a prime for the latter
 */
public record HashOptions(boolean port, boolean fallback, int slots) {

    /**
     * The client's address alone, the default sizes, and the fallback on: IPVS leaves it off because it was made for
     * caches that can be bypassed, but a service whose clients are refused while servers are idle is not available.
     */
    public static final HashOptions DEFAULT = new HashOptions(false, true, 0);
}
