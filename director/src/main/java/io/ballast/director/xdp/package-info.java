/**
 * The fast path: an eBPF program that balances packets before the kernel has seen them. Its C is in {@code src/main/bpf};
 * {@link io.ballast.director.xdp.XdpEngine} decides what its tables say, {@link io.ballast.director.xdp.DataPlane} writes
 * them.
 */
@NullMarked
package io.ballast.director.xdp;

import org.jspecify.annotations.NullMarked;
