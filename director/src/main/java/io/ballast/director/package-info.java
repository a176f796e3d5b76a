/** Virtual services, schedulers and the forwarding engines. */
@NullMarked
package io.ballast.director;

import org.jspecify.annotations.NullMarked;
