/** A lab that is up: its network, its web servers and daemons, and the record by which all of it is ended again. */
@NullMarked
package io.ballast.lab.farm;

import org.jspecify.annotations.NullMarked;
