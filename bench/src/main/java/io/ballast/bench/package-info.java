/** Side-by-side measurements against peers. */
@NullMarked
package io.ballast.bench;

import org.jspecify.annotations.NullMarked;
