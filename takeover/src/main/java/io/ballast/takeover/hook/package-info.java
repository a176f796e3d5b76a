/** Telling the operator's programs what becomes of virtual routers, in the order in which it happens. */
@NullMarked
package io.ballast.takeover.hook;

import org.jspecify.annotations.NullMarked;
