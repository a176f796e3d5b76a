/** What directors and servers of QUIC have to agree on. */
@NullMarked
package io.ballast.core.quic;

import org.jspecify.annotations.NullMarked;
