@NullMarked
package io.ballast.lab.load;

import org.jspecify.annotations.NullMarked;
