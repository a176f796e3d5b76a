@NullMarked
package io.ballast.takeover.quorum;

import org.jspecify.annotations.NullMarked;
