/** The verbs that talk to a running daemon through its control API. */
@NullMarked
package io.ballast.cli.control;

import org.jspecify.annotations.NullMarked;
