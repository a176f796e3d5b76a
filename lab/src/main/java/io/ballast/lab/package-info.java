/** Networks of namespaces on one machine, real daemons in them, drills that inject faults under load. */
@NullMarked
package io.ballast.lab;

import org.jspecify.annotations.NullMarked;
