@NullMarked
package io.ballast.linux;

import org.jspecify.annotations.NullMarked;
