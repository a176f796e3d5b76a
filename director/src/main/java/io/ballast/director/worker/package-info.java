/**
 * The worker process of the userspace engine: it carries the bytes. Start with
 * {@link io.ballast.director.worker.TrafficWorker}.
 */
@NullMarked
package io.ballast.director.worker;

import org.jspecify.annotations.NullMarked;
