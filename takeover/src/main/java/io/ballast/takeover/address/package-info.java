/**
 * A virtual router's addresses on this machine, and telling the network where they are now. What is due
 * is done when the caller says.
 */
@NullMarked
package io.ballast.takeover.address;

import org.jspecify.annotations.NullMarked;
