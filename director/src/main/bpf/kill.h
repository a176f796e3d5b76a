/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Connections that the operator has ended. Such a one stays remembered: what its client sends passes to the kernel, which
 * has the service's address and no such connection, and so answers with a reset, or to a datagram with an error. The
 * client's own reset goes on to the server, which is how that learns of it: it sends something, the client knows of no
 * connection, and answers.
 *
 * This lasts until the client opens a new connection from the same port, or has been silent for the idle time; for
 * datagrams, which nothing opens, for the idle time.
 */
#pragma once

#include "flows.h"

/* Whether a new connection may have the place. */
static __always_inline bool gives_way(const struct flow *flow)
{
	return flow->state == FLOW_CLOSING || flow->state == FLOW_KILLED;
}

/* Whether the packet is the kernel's, because its connection has been ended. */
static __always_inline bool killed(const struct vip *vip, const struct packet *packet, struct flow *flow, __u32 now)
{
	if (flow->state != FLOW_KILLED || expired(flow, now) || packet->icmp || packet->does == OPENS ||
	    packet->does == RESETS)
		return false;
	if (packet->proto == IPPROTO_TCP)
		flow->expires = now + vip->idle_ticks;
	count_for(vip, PASS_KILLED);
	return true;
}
