/**
 * Schedulers and persistence: which real server a new connection goes to. Pure classes without clock, thread, socket or
 * chance; each object belongs to one thread. Start with {@link io.ballast.director.scheduler.Scheduler}.
 */
@NullMarked
package io.ballast.director.scheduler;

import org.jspecify.annotations.NullMarked;
