/** The description of the service as immutable records, and its reader. */
@NullMarked
package io.ballast.core.config;

import org.jspecify.annotations.NullMarked;
