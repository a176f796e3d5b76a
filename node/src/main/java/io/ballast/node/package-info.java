/** The daemon: wires the rooms by the description, supervises workers, serves the control API and metrics. */
@NullMarked
package io.ballast.node;

import org.jspecify.annotations.NullMarked;
