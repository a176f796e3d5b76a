/** The system: sockets, descriptors passed between processes, namespaces, processes, through the FFM API. */
@NullMarked
package io.ballast.linux;

import org.jspecify.annotations.NullMarked;
