package io.ballast.linux;

/**
 * Who connected a unix socket (SO_PEERCRED), as the kernel noted it at connect time.
 *
 * @param pid the process; 0 when it is outside this pid namespace
 * @param uid the effective user
 * @param gid the effective group
 */
public record PeerCredentials(long pid, long uid, long gid) {}
