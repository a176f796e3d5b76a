@NullMarked
package io.ballast.linux.bpf;

import org.jspecify.annotations.NullMarked;
