/** What network and which servers a description asks for; pure, nothing is made here. */
@NullMarked
package io.ballast.lab.topology;

import org.jspecify.annotations.NullMarked;
