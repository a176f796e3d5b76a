/** HTTP/1.1 on a unix socket: as much of it as the control API needs, with every input bounded. */
@NullMarked
package io.ballast.node.http;

import org.jspecify.annotations.NullMarked;
