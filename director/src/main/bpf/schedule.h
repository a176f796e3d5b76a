/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Which server a packet goes to. */
#pragma once

#include "cookies.h"
#include "kill.h"
#include "limits.h"
#include "nat.h"
#include "quic.h"

/* The slot of a table that the packet's client leads to, relative to the table's first. */
static __always_inline __u32 slot_of(const struct vip *vip, const struct packet *packet)
{
	__u32 key;

	if (vip->scheduler == BY_SLOT_OF_HASH) {
		__u64 extra = vip->flags & VIP_HASH_PORT ? bpf_ntohs(packet->source_port_be) : 0;

		return scale(hash_of(packet->source.high, packet->source.low, extra), vip->slot_count);
	}
	if (vip->scheduler == BY_SLOT_OF_SOURCE) {
		key = fold(packet->source.high, packet->source.low);
		if (vip->flags & VIP_HASH_PORT)
			key += bpf_ntohs(packet->source_port_be);
	} else {
		key = fold(packet->destination.high, packet->destination.low);
	}
	return (key * 0x61C88647U) >> (32 - (vip->slot_bits & 31));
}

static __always_inline struct slot *slot_at(const struct vip *vip, __u32 slot)
{
	__u32 index = vip->slots + slot / LINE;
	struct slot_line *line = bpf_map_lookup_elem(&slots, &index);

	return line ? &line->slot[slot % LINE] : NULL;
}

/* The index of a server for a new connection by turns or by load, or NOBODY. */
static __always_inline __u32 server_in_order(const struct vip *vip)
{
	/* A copy: Linux 6.1 takes no key out of an argument's memory. */
	__u32 which = vip->service;
	struct service *service = bpf_map_lookup_elem(&services, &which);
	__u32 *top;
	struct slot *slot;

	if (!service)
		return NOBODY;
	if (vip->scheduler == IN_TURN) {
		if (!vip->slot_count)
			return NOBODY;
		slot = slot_at(vip, __sync_fetch_and_add(&service->given, 1) % vip->slot_count);
		return slot && slot->current != NO_SERVER ? vip->servers + slot->current : NOBODY;
	}
	top = tree_node(service->tree, 1);
	return top ? *top : NOBODY;
}

/* Gives a server its next turn among servers of the same load: io.ballast.director.scheduler.Ranking. */
static __always_inline void given(const struct vip *vip, __u32 server)
{
	__u32 which = vip->service, share;
	struct service *service;
	struct load *load;

	if (vip->scheduler < LEAST_CONNECTION)
		return;
	service = bpf_map_lookup_elem(&services, &which);
	load = bpf_map_lookup_elem(&loads, &server);
	if (!service || !load)
		return;
	share = vip->scheduler == LEAST_CONNECTION || !load->weight ? 1 : load->weight;
	if (service->last < load->turn)
		service->last = load->turn;
	/* A division takes as long as a level of the tree. */
	load->turn = service->last + (share == 1 ? STRIDE : STRIDE / share);
}

static __always_inline __u32 lifetime(const struct vip *vip, __u8 state)
{
	return state == FLOW_ESTABLISHED ? vip->idle_ticks :
	       state == FLOW_CLOSING ? vip->closing_ticks : vip->open_ticks;
}

/* Brings a known flow up to date with its packet; true where it has not been for a tick, or is in another state now. */
static __always_inline bool flow_seen(const struct vip *vip, const struct packet *packet, struct flow *flow,
				      __u32 bucket, __u32 now)
{
	__u32 word = flow->word, expires;
	__u8 before = state_of(word), state = before;

	if (before == FLOW_KILLED)
		return false;
	if (ends(packet))
		state = FLOW_CLOSING;
	else if (packet->does == GOES_ON && state == FLOW_OPENING)
		state = FLOW_ESTABLISHED;
	if (state != before) {
		flow_turn(flow, word, state);
		touch(bucket);
	}
	expires = now + lifetime(vip, state);
	if (flow->expires == expires)
		return state != before;
	flow->expires = expires;
	return true;
}

/* Whether a packet may still go where its flow went. */
static __always_inline bool still(const struct packet *packet, const struct flow *flow, const struct server *server)
{
	if (!(server->flags & SERVER_READY))
		return false;
	if (packet->does == OPENS)
		return server->flags & SERVER_NEW && !gives_way(flow);
	return packet->proto == IPPROTO_TCP || !(server->flags & SERVER_DOWN);
}

static __always_inline void flow_write(const struct vip *vip, const struct packet *packet, struct flow *flow,
				       __u32 server, __u8 state, __u32 now)
{
	flow->client = packet->source;
	flow->vip = vip->id;
	flow->client_port = bpf_ntohs(packet->source_port_be);
	flow->port = bpf_ntohs(packet->port_be);
	flow->server = server;
	flow->state = state;
	flow->proto = packet->proto;
	flow->nat_port_be = 0;
	flow->claim = 0;
	flow->expires = now + lifetime(vip, state);
}

static __always_inline __u32 server_of_member(const struct vip *vip, __u16 member)
{
	return member == NO_SERVER ? NOBODY : vip->servers + member;
}

/* The index of the server of a connection that nobody remembers; learn says whether it has to be from now on. */
static __always_inline __u32 server_of_unknown(const struct vip *vip, struct packet *packet, bool *learn)
{
	struct slot *slot;
	__u16 member, base;

	*learn = vip->flags & VIP_REMEMBER;
	if (vip->scheduler >= IN_TURN)
		return server_in_order(vip);
	slot = slot_at(vip, slot_of(vip, packet));
	if (!slot)
		return NOBODY;
	member = slot->current;
	base = slot->base & ~SLOT_DOUBTFUL;
	if (base != member) {
		*learn = true;
		if (packet->does != OPENS && base != NO_SERVER) {
			member = base;
			packet->how = CHOSEN_BY_BASE;
		}
	}
	return server_of_member(vip, member);
}

/* The same where the packet's slot says that nobody of it is remembered; else MAYBE. */
static __always_inline __u32 server_by_slot(const struct vip *vip, const struct packet *packet)
{
	struct slot *slot = slot_at(vip, slot_of(vip, packet));

	if (!slot || slot->base & SLOT_DOUBTFUL)
		return MAYBE;
	return server_of_member(vip, slot->current);
}

static __always_inline bool nat(const struct vip *vip)
{
	return has_nat && vip->flags & VIP_NAT;
}

static __always_inline bool full_nat(const struct vip *vip)
{
	return has_nat && has_full_nat && vip->flags & VIP_FULL_NAT;
}

/* Where a packet's connection is remembered, if it is. */
struct place {
	struct bucket *bucket;
	__u32 number;
	__u32 tag;
};

static __always_inline bool place_of(const struct vip *vip, const struct packet *packet, struct place *place)
{
	__u16 client_port = bpf_ntohs(packet->source_port_be);
	__u64 hash;

	if (nat(vip) && !full_nat(vip))
		hash = nat_hash(&packet->source, client_port, packet->proto);
	else
		hash = flow_hash(&packet->source, vip->id, client_port, bpf_ntohs(packet->port_be));
	place->tag = flow_tag(hash);
	place->number = hash & bucket_mask;
	place->bucket = bpf_map_lookup_elem(&flows, &place->number);
	return place->bucket;
}

static __always_inline __u32 way_of(const struct vip *vip, const struct packet *packet, const struct place *at)
{
	return flow_find(at->bucket, at->tag, &packet->source, vip->id, bpf_ntohs(packet->source_port_be),
			 bpf_ntohs(packet->port_be));
}

/*
 * Remembers a connection in a place of its bucket: in that of one that is to make way for it, else where there is room.
 * The place, or WAYS where it could not be.
 */
static __always_inline __u32 learn_in(const struct vip *vip, const struct packet *packet, struct bucket *bucket,
				      __u32 number, __u32 tag, __u32 way, __u32 index, __u32 now)
{
	__u8 state = packet->proven ? FLOW_COOKIE : packet->does == OPENS ? FLOW_OPENING : FLOW_ESTABLISHED;
	struct flow *flow;

	if (way < WAYS) {
		way = bounded(way);
		if (!claim(bucket, way, tag))
			way = WAYS;
		else
			flow_forget(&bucket->flow[way], number * WAYS + way);
	} else {
		way = flow_claim(bucket, number, now);
	}
	if (way >= WAYS) {
		count_for(vip, FLOW_TABLE_FULL);
		return WAYS;
	}
	flow = &bucket->flow[way];
	flow_write(vip, packet, flow, index, state, now);
	if (full_nat(vip) && !port_claim(number * WAYS + way, index, packet->v6, now)) {
		count_for(vip, PASS_NO_PORT);
		flow->word = 0;
		flow_publish(bucket, way, 0);
		return WAYS;
	}
	given(vip, index);
	load_state(index, 0, state);
	flow_publish(bucket, way, tag);
	/* One that is being opened is told of when it is established: a flood is nobody else's concern. */
	if (state == FLOW_ESTABLISHED)
		touch(number);
	return way;
}

/* Whether a packet of a connection that nobody remembers is one too many. UDP has no beginning but this. */
static __always_inline bool over_limit(const struct vip *vip, const struct packet *packet)
{
	return vip->flags & VIP_LIMIT && !packet->icmp &&
	       (packet->does == OPENS || packet->proto == IPPROTO_UDP) && over_rate(vip->service, packet);
}

/*
 * Where a connection goes that ought to be remembered and cannot be at the moment. Where its later packets will go, which
 * is the base of its slot; so a new one goes there as well, if that still takes new ones.
 */
static __always_inline __u32 unlearned(const struct vip *vip, const struct packet *packet, __u32 index)
{
	struct server *server;
	struct slot *slot;

	count_unlearned(vip->service);
	if (vip->flags & VIP_REMEMBER)
		return DROPPED;
	if (packet->does != OPENS)
		return index;
	slot = slot_at(vip, slot_of(vip, packet));
	if (!slot)
		return DROPPED;
	index = server_of_member(vip, slot->base & ~SLOT_DOUBTFUL);
	server = server_at(index);
	return server && (server->flags & (SERVER_READY | SERVER_NEW)) == (SERVER_READY | SERVER_NEW) ? index : DROPPED;
}

/* How far a known connection's acknowledgements are off, where it came by a cookie. */
static __always_inline void know_sequence(struct packet *packet, __u32 place)
{
	struct way_back *back = bpf_map_lookup_elem(&ways_back, &place);

	packet->translated = back && back->cookie == COOKIE_OVER ? back->sequence : 0;
}

/* What a packet of a connection that is remembered takes with it. */
static __always_inline void known_at(const struct vip *vip, struct packet *packet, const struct flow *flow, __u32 place,
				     bool fresh)
{
	packet->how = CHOSEN_BY_MEMORY;
	if (!nat(vip))
		return;
	packet->flow = (place + 1) | (fresh ? FRESH : 0);
	packet->nat_port_be = flow->nat_port_be;
	if (cookies(vip) && packet->proto == IPPROTO_TCP && !packet->proven)
		know_sequence(packet, place);
}

/*
 * The index of the server of a packet that is like nearly all: one more of an established connection. MAYBE where there
 * is more to say (recall), which includes that it is the first of its connection in a tick and tells of its client.
 */
static __always_inline __u32 known(const struct vip *vip, struct packet *packet)
{
	struct server *server;
	struct place at;
	struct flow *flow;
	__u32 now, way;
	bool fresh;

	if (packet->does != GOES_ON || packet->icmp || !place_of(vip, packet, &at))
		return MAYBE;
	way = way_of(vip, packet, &at);
	if (way >= WAYS)
		return MAYBE;
	flow = &at.bucket->flow[way];
	now = ticks();
	server = server_at(flow->server);
	if (!server || flow->state != FLOW_ESTABLISHED || expired(flow, now) || !still(packet, flow, server) ||
	    names_other(vip, packet, flow->server))
		return MAYBE;
	fresh = flow->expires != now + vip->idle_ticks;
	if (fresh) {
		if (vip->flags & VIP_PERSIST)
			return MAYBE;
		flow->expires = now + vip->idle_ticks;
	}
	known_at(vip, packet, flow, at.number * WAYS + way, fresh);
	return flow->server;
}

/*
 * The index of the server of a packet whose connection may be remembered, and what there is to remember of it; NOBODY
 * where no server can take it. An ICMP error changes nothing and adds nothing. A function of its own for the verifier's
 * sake.
 */
__noinline __u32 recall(const struct vip *vip, struct packet *packet)
{
	__u32 now, tag, way, index, number;
	__u16 client_port, port;
	struct bucket *bucket;
	struct server *server;
	bool learn, was_killed = false;
	__u32 cookie = COOKIE_GOES_ON;
	__u64 hash;

	if (!vip || !packet)
		return NOBODY;
	client_port = bpf_ntohs(packet->source_port_be);
	port = bpf_ntohs(packet->port_be);
	if (nat(vip) && !full_nat(vip))
		hash = nat_hash(&packet->source, client_port, packet->proto);
	else
		hash = flow_hash(&packet->source, vip->id, client_port, port);
	tag = flow_tag(hash);
	number = hash & bucket_mask;
	bucket = flow_bucket(number);
	if (!bucket)
		return NOBODY;
	now = ticks();
	way = flow_find(bucket, tag, &packet->source, vip->id, client_port, port);
	if (way < WAYS) {
		struct flow *flow = &bucket->flow[way];

		if (cookies(vip) && packet->simple && !expired(flow, now)) {
			cookie = cookie_known(packet, flow->state);
			if (cookie == COOKIE_EARLY)
				return DROPPED;
		}
		if (killed(vip, packet, flow, now))
			return NOWHERE;
		was_killed = flow->state == FLOW_KILLED;
		index = flow->server;
		server = server_at(index);
		if (cookie != COOKIE_ANEW && !expired(flow, now) && server && still(packet, flow, server) &&
		    !names_other(vip, packet, index)) {
			bool fresh = !packet->icmp && flow_seen(vip, packet, flow, number, now);

			if (fresh && vip->flags & VIP_PERSIST)
				persist_on(vip->service, &packet->source, index, flow->state, now);
			known_at(vip, packet, flow, number * WAYS + way, fresh);
			return index;
		}
	}
	if (cookies(vip) && packet->simple) {
		index = cookie_unknown(packet, vip->service);
		if (index != MAYBE)
			return index;
	}
	if (has_quic && vip->flags & VIP_QUIC && packet->named) {
		index = packet->named - 1;
		learn = true;
	} else if (over_limit(vip, packet)) {
		return DROPPED;
	} else if (vip->flags & VIP_PERSIST) {
		index = server_of_client(vip, packet, now);
		learn = true;
	} else {
		index = server_of_unknown(vip, packet, &learn);
	}
	if (index == NOBODY)
		return index;
	/* The memory of what was ended has to make way, or it would end this one as well. */
	if (was_killed)
		learn = true;
	if (!learn || packet->icmp || ends(packet)) {
		if (!nat(vip))
			return index;
		count_for(vip, PASS_NO_FLOW);
		return NOWHERE;
	}
	if (!may_learn())
		return unlearned(vip, packet, index);
	if (nat(vip) && !full_nat(vip)) {
		__u32 other = rival(number, tag, packet, index, now);

		/* One that is closing makes way. */
		if (other < WAYS && other != way) {
			other = bounded(other);
			if (!gives_way(&bucket->flow[other]) || !claim(bucket, other, tag)) {
				count_for(vip, PASS_NO_PORT);
				return NOWHERE;
			}
			flow_forget(&bucket->flow[other], number * WAYS + other);
			flow_publish(bucket, other, 0);
		}
	}
	way = learn_in(vip, packet, bucket, number, tag, way, index, now);
	/* With NAT there is no way back where there is no memory. */
	if (way >= WAYS)
		return nat(vip) ? NOWHERE : index;
	packet->begins = 1;
	if (nat(vip)) {
		packet->flow = (number * WAYS + way + 1) | FRESH;
		packet->nat_port_be = bucket->flow[bounded(way)].nat_port_be;
	}
	return index;
}

/*
 * Finds the server: by memory, by table or by order. The way of a service by hash is the short one: no memory is asked
 * while nothing is changing, and none for clients in slots that the change left alone. Nor is it where a connection ID
 * says it all.
 */
static __always_inline __u32 choose(struct xdp_md *ctx, const struct vip *vip, struct packet *packet)
{
	__u32 index;
	bool learn;

	if (has_quic && vip->flags & VIP_QUIC) {
		read_connection_id(ctx, vip, packet);
		if (packet->named && !(vip->flags & VIP_REMEMBER))
			return packet->named - 1;
	}
	if (!has_flows || !(vip->flags & VIP_LOOKUP))
		index = server_of_unknown(vip, packet, &learn);
	else
		index = vip->flags & VIP_REMEMBER ? MAYBE : server_by_slot(vip, packet);
	if (has_flows && index == MAYBE) {
		index = known(vip, packet);
		return index == MAYBE ? recall(vip, packet) : index;
	}
	return packet->does == OPENS && over_limit(vip, packet) ? DROPPED : index;
}
