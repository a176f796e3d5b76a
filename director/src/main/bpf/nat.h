/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * NAT's side of memory: whose answer a server's packet is.
 *
 * A connection has one place in the flow table, which both of its directions find. With NAT the server sees the client's
 * address and port, so its answer names the bucket as the client's packet does. With full NAT it sees a port of the
 * director's, and the table of ports says whose that is.
 */
#pragma once

#include "persist.h"

/* How many ports are tried for a connection. */
#define PORT_TRIES 16

static __always_inline bool server_is(const struct server *server, const struct address *address, bool v6)
{
	struct address own;

	if (v6)
		address6(&own, server->addr6_be);
	else
		address4(&own, server->addr_be);
	return own.low == address->low && own.high == address->high;
}

static __always_inline bool director_is(const struct server *server, const struct address *address, bool v6)
{
	struct address own;

	if (v6)
		address6(&own, server->source6_be);
	else
		address4(&own, server->source_be);
	return own.low == address->low && own.high == address->high;
}

static __always_inline __be16 server_port(const struct server *server, __u16 asked)
{
	return server->port_be ? server->port_be : bpf_htons(asked);
}

/*
 * The place in the bucket of another connection of the client, to another of the services' endpoints, that has the same
 * server under the same port: their answers could not be told apart. WAYS where there is none.
 */
__noinline __u32 rival(__u32 number, __u32 tag, const struct packet *packet, __u32 index, __u32 now)
{
	struct bucket *bucket = flow_bucket(number);
	struct server *server = server_at(index);
	struct address end;
	__be16 port_be;

	if (!bucket || !server || !packet)
		return WAYS;
	port_be = server_port(server, bpf_ntohs(packet->port_be));
	if (packet->v6)
		address6(&end, server->addr6_be);
	else
		address4(&end, server->addr_be);
#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WAYS; way++) {
		struct flow *flow = &bucket->flow[way];
		struct server *other;

		if (bucket->tag[way] != tag || expired(flow, now) || flow->client.low != packet->source.low ||
		    flow->client.high != packet->source.high || flow->proto != packet->proto ||
		    flow->client_port != bpf_ntohs(packet->source_port_be))
			continue;
		other = server_at(flow->server);
		if (other && other->flags & SERVER_NAT && !(other->flags & SERVER_FULL_NAT) &&
		    server_is(other, &end, packet->v6) && server_port(other, flow->port) == port_be)
			return way;
	}
	return WAYS;
}

/* A port that its owner keeps. */
#define PORT_KEPT (~0U)

/*
 * Whether a port's owner gives it up. 0 where it has none: it has gone, or expired so long ago that no CPU can take it
 * for alive. Where it is only half open it makes way: in how many ticks it would expire, from 1 on. Else PORT_KEPT.
 */
__noinline __u32 port_kept(__u32 owner, __u32 number, __u32 now)
{
	__u32 place = owner - 1, way = place % WAYS, tag;
	struct bucket *bucket = flow_bucket(place / WAYS);
	struct flow *flow;

	if (!bucket)
		return 0;
	tag = bucket->tag[way];
	flow = &bucket->flow[way];
	if (tag == TAG_BUSY)
		return PORT_KEPT;
	if (!tag || flow->claim != number + 1 || expired(flow, now - SETTLED))
		return 0;
	if (flow->state != FLOW_OPENING)
		return PORT_KEPT;
	return expired(flow, now) ? 1 : ((flow->expires - now) & 0x3fffffff) + 1;
}

/*
 * Forgets the connection that has a port, and gives that to the place of another. A packet does not find a place while
 * its tag says that it is being written. Whether the connection is still half open is asked in the step that ends it:
 * one that another CPU has established meanwhile stays what it is.
 */
static __always_inline bool port_take(__u32 owner, __u32 number, __u32 place)
{
	__u32 way = (owner - 1) % WAYS, tag, word;
	struct bucket *bucket = flow_bucket((owner - 1) / WAYS);
	__u32 *whose = port_owner(number);
	struct server *server;
	struct flow *flow;

	if (!bucket || !whose)
		return false;
	tag = bucket->tag[way];
	if (tag <= TAG_BUSY || !claim(bucket, way, tag))
		return false;
	flow = &bucket->flow[way];
	word = flow->word;
	if (flow->claim != number + 1 || state_of(word) != FLOW_OPENING ||
	    __sync_val_compare_and_swap(&flow->word, word, 0) != word) {
		flow_publish(bucket, way, tag);
		return false;
	}
	load_state(flow->server, FLOW_OPENING, 0);
	server = server_at(flow->server);
	if (server)
		count_at(server, FLOW_EVICTED);
	flow->claim = 0;
	word = __sync_val_compare_and_swap(whose, owner, place + 1);
	flow_publish(bucket, way, 0);
	return word == owner;
}

/*
 * Finds the connection in a place a port that the server knows no other by: one that is free, else, of those tried, that
 * of the half-open connection which would expire first, as a flood of SYNs evicts itself from the buckets. 0 where all
 * of them are kept.
 */
__noinline int port_claim(__u32 place, __u32 index, __u32 v6, __u32 now)
{
	struct bucket *bucket = flow_bucket(place / WAYS);
	__u32 least = PORT_KEPT, lender = 0, lent = 0;
	struct server *server = server_at(index);
	__u16 server_side, lent_port = 0;
	struct address end;
	struct flow *flow;
	__u64 which;

	if (!bucket || !server)
		return 0;
	flow = &bucket->flow[place % WAYS];
	if (v6)
		address6(&end, server->addr6_be);
	else
		address4(&end, server->addr_be);
	server_side = bpf_ntohs(server_port(server, flow->port));
	which = flow_hash(&flow->client, flow->vip, flow->client_port, flow->port);
#pragma clang loop unroll(disable)
	for (int i = 0; i < PORT_TRIES; i++) {
		__u16 candidate = nat_first_port + scale(which, nat_ports);
		__u32 number = port_number(&end, server_side, candidate, flow->proto);
		__u32 *owner = port_owner(number), before, kept;

		if (!owner)
			return 0;
		before = *owner;
		kept = before ? port_kept(before, number, now) : 0;
		if (!kept && __sync_val_compare_and_swap(owner, before, place + 1) == before) {
			flow->nat_port_be = bpf_htons(candidate);
			flow->claim = number + 1;
			return 1;
		}
		if (kept && kept < least) {
			least = kept;
			lender = before;
			lent = number;
			lent_port = candidate;
		}
		which += 0x9e3779b97f4a7c15ULL;
	}
	if (least == PORT_KEPT || !port_take(lender, lent, place))
		return 0;
	flow->nat_port_be = bpf_htons(lent_port);
	flow->claim = lent + 1;
	return 1;
}

/* Whether the packet is the server's side of the connection. */
static __always_inline bool answers(struct packet *packet, const struct flow *flow, bool full)
{
	struct server *server = server_at(flow->server);

	if (!server || !(server->flags & SERVER_NAT) || !!(server->flags & SERVER_FULL_NAT) != full ||
	    flow->proto != packet->proto || server_port(server, flow->port) != packet->source_port_be ||
	    !server_is(server, &packet->source, packet->v6))
		return false;
	packet->wanted = !!(server->flags & SERVER_TRACE);
	if (full)
		return flow->nat_port_be == packet->port_be && director_is(server, &packet->destination, packet->v6);
	return flow->client_port == bpf_ntohs(packet->port_be) && flow->client.low == packet->destination.low &&
	       flow->client.high == packet->destination.high;
}

static __always_inline void answer_seen(const struct packet *packet, struct flow *flow, __u32 place, __u32 now)
{
	struct way_back *back = bpf_map_lookup_elem(&ways_back, &place);
	__u32 word = flow->word, expires;
	__u8 state = state_of(word);

	if (!back || packet->icmp || packet->may == MAY_FOLLOW || state == FLOW_KILLED)
		return;
	if (ends(packet) && state != FLOW_CLOSING) {
		flow_turn(flow, word, FLOW_CLOSING);
		touch(place / WAYS);
		state = FLOW_CLOSING;
	}
	expires = now + (state == FLOW_ESTABLISHED ? back->idle_ticks :
			 state == FLOW_CLOSING ? back->closing_ticks : back->open_ticks);
	if (flow->expires != expires) {
		flow->expires = expires;
		if (back->persists) {
			struct address client = flow->client;

			persist_on(back->persists - 1, &client, flow->server, state, now);
		}
	}
}

/* The connection in a place, if the packet is its server's, brought up to date; false where it is not. */
static __always_inline bool answers_now(struct packet *packet, struct flow *flow, __u32 place, bool full)
{
	__u32 now;

	if (!answers(packet, flow, full))
		return false;
	now = ticks();
	if (expired(flow, now))
		return false;
	answer_seen(packet, flow, place, now);
	return true;
}

/*
 * The place, from 1 on, of the connection that a server's packet belongs to, or an error about one; 0 for none. Whatever
 * is not for a service comes by here, so that the first look has to be a short one.
 */
__noinline __u32 answered(struct packet *packet)
{
	struct bucket *bucket;
	__u32 number, tag;
	__u64 hash;
	__u16 port;

	if (!packet)
		return 0;
	port = bpf_ntohs(packet->port_be);
	if (has_full_nat && (__u32)port - nat_first_port < nat_ports) {
		__u32 *owner = port_owner(port_number(&packet->source, bpf_ntohs(packet->source_port_be), port,
						      packet->proto));
		__u32 place = owner ? *owner : 0;

		bucket = place ? flow_bucket((place - 1) / WAYS) : NULL;
		if (bucket) {
			__u32 way = (place - 1) % WAYS;

			if (bucket->tag[way] > TAG_BUSY && answers_now(packet, &bucket->flow[way], place - 1, true))
				return place;
		}
	}
	hash = nat_hash(&packet->destination, port, packet->proto);
	tag = flow_tag(hash);
	number = hash & bucket_mask;
	bucket = flow_bucket(number);
	if (!bucket)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WAYS; way++) {
		if (bucket->tag[way] == tag && answers_now(packet, &bucket->flow[way], number * WAYS + way, false))
			return number * WAYS + way + 1;
	}
	return 0;
}
