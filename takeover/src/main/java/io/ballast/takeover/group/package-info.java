/** Programs and mounts that go with addresses: what is started where, in which order, and when that is safe. */
@NullMarked
package io.ballast.takeover.group;

import org.jspecify.annotations.NullMarked;
