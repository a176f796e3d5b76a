@NullMarked
package io.ballast.lab.farm;

import org.jspecify.annotations.NullMarked;
