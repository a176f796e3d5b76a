/**
 * eBPF: loading programs, their maps, running them on one packet, attaching them to interfaces. Start at
 * {@link io.ballast.linux.bpf.BpfObject}.
 */
@NullMarked
package io.ballast.linux.bpf;

import org.jspecify.annotations.NullMarked;
