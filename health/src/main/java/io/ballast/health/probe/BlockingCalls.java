package io.ballast.health.probe;

import io.ballast.health.Deadline;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * Calls that may hang in the kernel, each on a platform thread of its own: on a virtual thread they would hold one of
 * the few carriers, and with it everybody's checks. A call that hangs keeps its thread and its place for as long as it
 * lasts; where all places are taken, further calls are refused.
 */
final class BlockingCalls {

    private final Semaphore places;
    private final int size;
    private final String what;

    /** Room for {@code size} calls at a time; {@code what} names them in the plural. */
    BlockingCalls(int size, String what) {
        this.places = new Semaphore(size);
        this.size = size;
        this.what = what;
    }

    /** How a call went. */
    sealed interface Answer<T> {}

    /** It returned, after it had waited so long for a place. */
    record Done<T>(T value, long waitedNanos) implements Answer<T> {}

    /** It had not returned by the deadline. */
    record Late<T>() implements Answer<T> {}

    /** It was not made. */
    record Full<T>(String reason) implements Answer<T> {}

    /** Makes the call and waits for it; interruption is passed on to it. */
    <T> Answer<T> call(Supplier<T> call, Deadline deadline) throws InterruptedException {
        long asked = System.nanoTime();
        if (!places.tryAcquire(Math.max(0, deadline.remainingNanos()), TimeUnit.NANOSECONDS)) {
            return new Full<>("not started: " + size + " " + what + " are under way, as many as are allowed");
        }
        long waited = System.nanoTime() - asked;
        CompletableFuture<T> result = new CompletableFuture<>();
        Thread thread = Thread.ofPlatform().daemon().name("check-blocking").unstarted(() -> {
            try {
                result.complete(call.get());
            } catch (Throwable e) { // whatever it is belongs to the one who waits
                result.completeExceptionally(e);
            } finally {
                places.release();
            }
        });
        try {
            thread.start();
        } catch (OutOfMemoryError e) {
            places.release();
            return new Full<>("not started: the director cannot make another thread (" + e.getMessage() + ")");
        }
        try {
            return new Done<>(result.get(Math.max(0, deadline.remainingNanos()), TimeUnit.NANOSECONDS), waited);
        } catch (TimeoutException e) {
            return new Late<>();
        } catch (InterruptedException e) {
            thread.interrupt();
            throw e;
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        }
    }

    /** Places that are free at present. */
    int free() {
        return places.availablePermits();
    }
}
