@NullMarked
package io.ballast.lab.topology;

import org.jspecify.annotations.NullMarked;
