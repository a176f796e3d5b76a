/** What happened, kept in a journal that survives restarts. */
@NullMarked
package io.ballast.core.event;

import org.jspecify.annotations.NullMarked;
