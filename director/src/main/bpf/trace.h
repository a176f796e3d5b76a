/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What is done with a packet, told to whoever traces its service: one record for every so many packets, in a ring buffer
 * that the daemon reads. A packet of a service that is not traced pays for this with the look at one bit of what is
 * loaded anyway, and one byte of its own.
 *
 * Records are given up rather than waited for: how many did not fit is counted.
 */
#pragma once

#include "maps.h"
#include "packet.h"

/* Where a TCP header has its flags. */
#define TCP_FLAGS 13
#define TCP_SYN_ACK 0x12

static __always_inline void trace_begin(struct packet *packet, __u8 scheduler)
{
	__u32 zero = 0;
	struct tracing *tracing = bpf_map_lookup_elem(&tracing_now, &zero);
	struct noted *noted = bpf_map_lookup_elem(&last_reason, &zero);
	__u64 seen;

	if (!tracing || !noted)
		return;
	seen = __sync_fetch_and_add(&tracing->seen, 1);
	if (tracing->every > 1 && seen % tracing->every)
		return;
	noted->reason = 0;
	noted->chosen = NOBODY;
	noted->what = 0;
	packet->traced = 1;
	packet->scheduler = scheduler;
}

static __always_inline void trace_server(__u32 index)
{
	__u32 zero = 0;
	struct noted *noted = bpf_map_lookup_elem(&last_reason, &zero);

	if (noted)
		noted->chosen = index;
}

/* What an answer is, before it is changed, and under which addresses it would go on. */
static __noinline int trace_answer(struct xdp_md *ctx, struct packet *packet, const struct flow *flow,
				   const struct way_back *back)
{
	__u32 zero = 0;
	struct noted *noted = bpf_map_lookup_elem(&last_reason, &zero);
	__u8 flags = 0;

	if (!noted)
		return 0;
	packet->how = CHOSEN_BACK;
	noted->chosen = flow->server;
	if (packet->v6)
		address6(&noted->from, back->vip_be);
	else
		address4(&noted->from, back->vip_be[0]);
	noted->to = flow->client;
	noted->from_port = flow->port;
	noted->to_port = flow->client_port;
	if (packet->proto == IPPROTO_TCP && !packet->icmp &&
	    !bpf_xdp_load_bytes(ctx, packet->l3 + packet->l4 + TCP_FLAGS, &flags, sizeof(flags)) &&
	    (flags & TCP_SYN_ACK) == TCP_SYN_ACK)
		noted->what = TRACED_SYN_ACK;
	return 0;
}

/* How the server was found. */
static __always_inline __u8 trace_how(const struct packet *packet)
{
	if (packet->how)
		return packet->how;
	if (has_quic && packet->proto == IPPROTO_UDP && packet->named)
		return CHOSEN_BY_ID;
	return packet->scheduler < IN_TURN ? CHOSEN_BY_SLOT :
	       packet->scheduler == IN_TURN ? CHOSEN_IN_TURN : CHOSEN_BY_LOAD;
}

/* Writes the record of a packet that is dealt with. */
static __noinline int trace_end(struct xdp_md *ctx, const struct packet *packet, __u32 verdict)
{
	__u32 zero = 0, chosen;
	struct tracing *tracing = bpf_map_lookup_elem(&tracing_now, &zero);
	struct noted *noted = bpf_map_lookup_elem(&last_reason, &zero);
	struct trace_record *record;
	struct server *server;

	if (!tracing || !noted || (__s32)tracing->left <= 0)
		return 0;
	chosen = noted->chosen;
	server = bpf_map_lookup_elem(&servers, &chosen);
	record = bpf_ringbuf_reserve(&traces, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&tracing->lost, 1);
		return 0;
	}
	__sync_fetch_and_add(&tracing->left, -1);
	record->time = bpf_ktime_get_ns();
	record->source = packet->source;
	record->destination = packet->destination;
	record->source_port = bpf_ntohs(packet->source_port_be);
	record->port = bpf_ntohs(packet->port_be);
	record->interface = ctx->ingress_ifindex;
	record->length = packet->length;
	record->server = server ? chosen : NOBODY;
	record->verdict = verdict;
	record->reason = noted->reason;
	record->proto = packet->proto;
	record->does = packet->does;
	record->how = server ? trace_how(packet) : CHOSEN_BY_NOTHING;
	record->what = (packet->icmp ? TRACED_ERROR : 0) | (packet->fragment ? TRACED_FIRST : 0) |
		       (packet->may == MAY_FOLLOW ? TRACED_LATER : 0) | (packet->proven ? TRACED_PROOF : 0) | noted->what;
	if (packet->how == CHOSEN_BACK) {
		record->out_source = noted->from;
		record->out_destination = noted->to;
		record->out_source_port = noted->from_port;
		record->out_port = noted->to_port;
	} else {
		record->out_source.high = 0;
		record->out_source.low = 0;
		record->out_destination.high = 0;
		record->out_destination.low = 0;
		record->out_source_port = bpf_ntohs(packet->nat_port_be);
		record->out_port = server ? bpf_ntohs(server->port_be) : 0;
	}
	bpf_ringbuf_submit(record, 0);
	return 0;
}
