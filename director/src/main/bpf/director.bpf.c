/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The director's program, attached to the interfaces that clients' packets arrive on; balance.h tells what it does. */
#include "balance.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("xdp")
int director(struct xdp_md *ctx)
{
	return balance(ctx);
}
