/**
 * The userspace engine's half in the node process: it owns the listening sockets and the table, and lends both to the
 * worker process. Start with {@link io.ballast.director.userspace.UserspaceEngine}.
 */
@NullMarked
package io.ballast.director.userspace;

import org.jspecify.annotations.NullMarked;
