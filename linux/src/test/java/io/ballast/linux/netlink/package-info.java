@NullMarked
package io.ballast.linux.netlink;

import org.jspecify.annotations.NullMarked;
