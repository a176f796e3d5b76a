@NullMarked
package io.ballast.lab.demo;

import org.jspecify.annotations.NullMarked;
