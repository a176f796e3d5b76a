@NullMarked
package io.ballast.takeover.address;

import org.jspecify.annotations.NullMarked;
