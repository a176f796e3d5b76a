/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Endpoints of many ports. A range is not written out port by port: those of one address and protocol have numbers, and
 * are looked at one after the other where the packet's port has no endpoint of its own. So what costs is their number,
 * not their width, and a packet for no service is done after the first that is not there.
 */
#pragma once

#include "maps.h"
#include "packet.h"

static __always_inline bool in_range(const struct vip *vip, __u32 port)
{
	return vip->first_port <= port && port <= vip->last_port;
}

/* Functions of their own: four ways lead to each, and the verifier would walk the loop on every one. */
static __noinline struct vip *range4(__be32 addr_be, const struct packet *packet)
{
	struct vip4_key key = { .addr_be = addr_be, .proto = packet->proto };
	__u32 port = bpf_ntohs(packet->port_be);

#pragma clang loop unroll(disable)
	for (__u32 range = 1; range <= RANGES; range++) {
		struct vip *vip;

		key.range = range;
		vip = bpf_map_lookup_elem(&vips4, &key);
		if (!vip || in_range(vip, port))
			return vip;
	}
	return NULL;
}

static __noinline struct vip *range6(const __be32 *addr_be, const struct packet *packet)
{
	struct vip6_key key = { .proto = packet->proto };
	__u32 port = bpf_ntohs(packet->port_be);

	__builtin_memcpy(key.addr_be, addr_be, 16);
#pragma clang loop unroll(disable)
	for (__u32 range = 1; range <= RANGES; range++) {
		struct vip *vip;

		key.range = range;
		vip = bpf_map_lookup_elem(&vips6, &key);
		if (!vip || in_range(vip, port))
			return vip;
	}
	return NULL;
}
