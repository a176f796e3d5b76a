/** A farm that loses a server while one watches. */
@NullMarked
package io.ballast.lab.demo;

import org.jspecify.annotations.NullMarked;
