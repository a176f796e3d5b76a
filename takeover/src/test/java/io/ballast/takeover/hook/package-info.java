@NullMarked
package io.ballast.takeover.hook;

import org.jspecify.annotations.NullMarked;
