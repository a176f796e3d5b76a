/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Persistence: a client's new connections to a service go where its others went, whichever of the service's endpoints
 * they are to.
 *
 * What is remembered of a client is a template, as IPVS has it: a place in the flow table whose key is the client's
 * address, as far as the service looks at it, and the service. It counts in no server's load, and packets of known
 * connections do not ask for it. It is looked for when a connection is new, and by the first packet of a known one in a
 * tick, which brings it up to date: so its time runs from the last packet of the client's last connection.
 *
 * A template that only SYNs have asked for lives no longer than a connection that is being opened and makes way as
 * easily; else a flood of SYNs from made-up clients would push established connections out.
 */
#pragma once

#include "limits.h"

struct template_key {
	struct address client;
	__u32 of;
	__u32 prefix;	/* a template of before the mask was changed is another's */
};

/* Clears the bits of an address that do not tell clients apart. */
static __always_inline void template_key(struct template_key *key, const struct address *client, __u32 which,
					 const struct service *service)
{
	key->client = *client;
	key->of = which | TEMPLATE_OF;
	if (client->high == 0 && client->low >> 32 == 0xffff) {
		key->prefix = service->persist_mask4;
		key->client.low &= ~0ULL << ((32 - key->prefix) & 63);
		return;
	}
	key->prefix = service->persist_mask6;
	if (key->prefix > 64) {
		key->client.low &= ~0ULL << ((128 - key->prefix) & 63);
	} else {
		key->client.high &= ~0ULL << ((64 - key->prefix) & 63);
		key->client.low = 0;
	}
}

static __always_inline __u64 template_hash(const struct template_key *key)
{
	return flow_hash(&key->client, key->of, key->prefix, 0);
}

static __always_inline __u32 template_find(const struct bucket *bucket, const struct template_key *key, __u32 tag)
{
	return flow_find(bucket, tag, &key->client, key->of, key->prefix, 0);
}

/* A client's connection to a server has gone on: the client's time there begins anew. */
__noinline int persist_on(__u32 which, const struct address *client, __u32 index, __u32 state, __u32 now)
{
	struct service *service = bpf_map_lookup_elem(&services, &which);
	struct template_key key;
	struct bucket *bucket;
	struct flow *flow;
	__u32 way, word;
	__u64 hash;

	if (!service || !client || !service->persist_ticks)
		return 0;
	template_key(&key, client, which, service);
	hash = template_hash(&key);
	bucket = flow_bucket(hash & bucket_mask);
	if (!bucket)
		return 0;
	way = template_find(bucket, &key, flow_tag(hash));
	if (way >= WAYS)
		return 0;
	flow = &bucket->flow[way];
	/* The client may have been given another server since. */
	if (flow->server != index || expired(flow, now))
		return 0;
	word = flow->word;
	if (state_of(word) == FLOW_TEMPLATE_OPENING) {
		if (state != FLOW_ESTABLISHED)
			return 0;
		flow_turn(flow, word, FLOW_TEMPLATE);
		touch(hash & bucket_mask);
	}
	flow->expires = now + service->persist_ticks;
	return 0;
}

/* schedule.h: by table or by order. */
static __always_inline __u32 server_of_unknown(const struct vip *vip, struct packet *packet, bool *learn);

/* Whether the packet's connection has existed for a while, though nobody remembers it. */
static __always_inline bool is_old(const struct packet *packet)
{
	return packet->icmp || (packet->proto == IPPROTO_TCP && packet->does != OPENS);
}

/*
 * Whether a client's server may have this connection as well. One at its limit, or that takes no new ones, sends its
 * clients away; but an old connection is most likely that server's.
 */
static __always_inline bool stays(const struct vip *vip, const struct packet *packet, __u32 index)
{
	struct server *server = server_at(index);
	struct load *load;

	if (!server || !(server->flags & SERVER_READY) || server->service != vip->service)
		return false;
	if (is_old(packet))
		return true;
	if (!(server->flags & SERVER_NEW))
		return false;
	if (vip->scheduler < LEAST_CONNECTION)
		return true;
	load = bpf_map_lookup_elem(&loads, &index);
	return load && available(load);
}

static __always_inline __u32 template_lifetime(const struct vip *vip, __u8 state, __u32 persist_ticks)
{
	return state == FLOW_TEMPLATE_OPENING && vip->open_ticks < persist_ticks ? vip->open_ticks : persist_ticks;
}

/* One more connection of the client. */
static __always_inline void template_again(const struct vip *vip, const struct packet *packet, struct flow *flow,
					   __u32 bucket, __u32 persist_ticks, __u32 now)
{
	__u32 word = flow->word;
	__u8 state = state_of(word);

	if (state != FLOW_TEMPLATE && packet->does != OPENS) {
		flow_turn(flow, word, FLOW_TEMPLATE);
		touch(bucket);
		state = FLOW_TEMPLATE;
	}
	flow->expires = now + template_lifetime(vip, state, persist_ticks);
}

static __always_inline void template_write(const struct vip *vip, const struct packet *packet, struct flow *flow,
					   const struct template_key *key, __u32 index, __u32 persist_ticks, __u32 now)
{
	struct flow word = { .state = packet->does == OPENS ? FLOW_TEMPLATE_OPENING : FLOW_TEMPLATE };

	flow->client = key->client;
	flow->vip = key->of;
	flow->client_port = key->prefix;
	flow->port = 0;
	flow->server = index;
	flow->word = word.word;
	flow->claim = 0;
	flow->expires = now + template_lifetime(vip, word.state, persist_ticks);
}

/*
 * The index of the server of a connection that nobody remembers, to a service with persistence: its client's, else one
 * that is chosen and is the client's from now on; NOBODY where there is none. What will not be remembered itself changes
 * nothing.
 */
__noinline __u32 server_of_client(const struct vip *vip, struct packet *packet, __u32 now)
{
	__u32 which, index, number, tag, way, twin;
	struct service *service;
	struct template_key key;
	struct bucket *bucket;
	bool learn, changes;
	__u64 hash;

	if (!vip || !packet)
		return NOBODY;
	which = vip->service;
	service = bpf_map_lookup_elem(&services, &which);
	if (!service || !service->persist_ticks)
		return server_of_unknown(vip, packet, &learn);
	changes = !packet->icmp && !ends(packet);
	template_key(&key, &packet->source, which, service);
	hash = template_hash(&key);
	tag = flow_tag(hash);
	number = hash & bucket_mask;
	bucket = flow_bucket(number);
	if (!bucket)
		return NOBODY;
	way = template_find(bucket, &key, tag);
	if (way < WAYS) {
		struct flow *flow = &bucket->flow[way];

		/* With a table by hash it may be from before there was persistence, and is where its slot says. */
		if (!expired(flow, now) && is_old(packet) && vip->scheduler < IN_TURN)
			return server_of_unknown(vip, packet, &learn);
		index = flow->server;
		if (!expired(flow, now) && stays(vip, packet, index)) {
			if (changes)
				template_again(vip, packet, flow, number, service->persist_ticks, now);
			packet->how = CHOSEN_BY_CLIENT;
			return index;
		}
	}
	index = server_of_unknown(vip, packet, &learn);
	/* What is not remembered of the client is not of the connection either. */
	if (index == NOBODY || !changes || !may_learn())
		return index;
	if (way < WAYS) {
		if (!claim(bucket, way, tag))
			return index;
	} else {
		way = flow_claim(bucket, number, now);
		if (way >= WAYS) {
			count_for(vip, FLOW_TABLE_FULL);
			return index;
		}
		/* Another CPU may have had another connection of this client at the same time. */
		twin = template_find(bucket, &key, tag);
		if (twin < WAYS) {
			flow_publish(bucket, way, 0);
			return bucket->flow[twin].server;
		}
	}
	template_write(vip, packet, &bucket->flow[way], &key, index, service->persist_ticks, now);
	flow_publish(bucket, way, tag);
	if (packet->does != OPENS)
		touch(number);
	return index;
}
