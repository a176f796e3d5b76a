package io.ballast.director.userspace;

/**
 * What a worker said of itself when it was attached.
 *
 * @param pid its process
 * @param build what it was started with as its build
 * @param compatible whether it speaks this build's protocol; if not, it only lends its sockets until another serves
 * @param draining whether it has been told to end already
 * @param services how many services it had
 * @param listeners how many listening sockets it had
 */
public record WorkerInfo(long pid, String build, boolean compatible, boolean draining, int services, int listeners) {}
