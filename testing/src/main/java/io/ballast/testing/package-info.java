/** What tests of several rooms share. */
@NullMarked
package io.ballast.testing;

import org.jspecify.annotations.NullMarked;
