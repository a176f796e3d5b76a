/** The open-loop load generator: a constant rate of requests, and what became of each. */
@NullMarked
package io.ballast.lab.load;

import org.jspecify.annotations.NullMarked;
