/** Health checks: the probes and the rise/fall state. */
@NullMarked
package io.ballast.health;

import org.jspecify.annotations.NullMarked;
