/** JSON text from and to Gson's tree, without reflection. */
@NullMarked
package io.ballast.core.json;

import org.jspecify.annotations.NullMarked;
