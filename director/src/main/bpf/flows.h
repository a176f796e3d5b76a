/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Remembered connections: finding, adding, and keeping each server's load and each service's order by load right. */
#pragma once

#include "hash.h"
#include "maps.h"
#include "packet.h"

#define TAG_BUSY 1

/*
 * The last count of ticks that a CPU has taken, and in the upper half the jiffies at that time. Those are read without a
 * call, and within one jiffy the count is good: so nearly every packet has its time without asking for it.
 */
volatile __u64 last_ticks = ~0ULL;

static __always_inline __u32 ticks(void)
{
	__u64 taken = last_ticks, jiffies = bpf_jiffies64() << 32;
	__u32 now;

	if (taken >> 32 == jiffies >> 32)
		return taken;
	now = bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
	last_ticks = jiffies | now;
	return now;
}

static __always_inline __u64 flow_hash(const struct address *client, __u32 vip, __u16 client_port, __u16 port)
{
	__u64 rest = (__u64)vip << 32 | (__u32)client_port << 16 | port;

	return hash_of(client->high, client->low ^ flow_seed, rest);
}

/*
 * NAT: by the client alone, whose address and port stand in the server's answer as well. So both directions of a
 * connection lead to one place, and what a client opens from one port shares a bucket.
 */
static __always_inline __u64 nat_hash(const struct address *client, __u16 client_port, __u8 proto)
{
	return hash_of(client->high, client->low ^ flow_seed, (__u32)proto << 16 | client_port);
}

static __always_inline __u32 flow_tag(__u64 hash)
{
	return (hash >> 32) | 2;
}

static __always_inline struct bucket *flow_bucket(__u32 number)
{
	return bpf_map_lookup_elem(&flows, &number);
}

static __always_inline bool flow_matches(const struct flow *flow, const struct address *client, __u32 vip,
					 __u16 client_port, __u16 port)
{
	return flow->client.low == client->low && flow->client.high == client->high && flow->vip == vip &&
	       flow->client_port == client_port && flow->port == port;
}

/* The flow's place in its bucket; WAYS where it is not remembered. */
static __always_inline __u32 flow_find(const struct bucket *bucket, __u32 tag, const struct address *client, __u32 vip,
				       __u16 client_port, __u16 port)
{
#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WAYS; way++) {
		if (bucket->tag[way] == tag && flow_matches(&bucket->flow[way], client, vip, client_port, port))
			return way;
	}
	return WAYS;
}

static __always_inline struct server *server_at(__u32 index)
{
	return bpf_map_lookup_elem(&servers, &index);
}

/* ---- loads ---- */

static __always_inline bool available(const struct load *load)
{
	return load->weight && (!load->limit || load->active + load->inactive < load->limit);
}

/* Whether a is to be preferred to b: io.ballast.director.scheduler.Ranking. */
static __always_inline bool before(__u32 scheduler, const struct load *a, const struct load *b, bool earlier)
{
	__u64 left, right;

	if (scheduler == LEAST_CONNECTION) {
		left = ((__u64)a->active << 8) + a->inactive;
		right = ((__u64)b->active << 8) + b->inactive;
	} else if (scheduler == WEIGHTED_LEAST_CONNECTION) {
		left = (((__u64)a->active << 8) + a->inactive) * b->weight;
		right = (((__u64)b->active << 8) + b->inactive) * a->weight;
	} else {
		if (scheduler == NEVER_QUEUE && (!a->active || !b->active)) {
			left = a->active != 0;
			right = b->active != 0;
		} else {
			left = (a->active + 1ULL) * b->weight;
			right = (b->active + 1ULL) * a->weight;
		}
	}
	if (left != right)
		return left < right;
	if (a->turn != b->turn)
		return a->turn < b->turn;
	return earlier;
}

static __always_inline __u32 *tree_node(__u32 tree, __u32 number)
{
	__u32 index = tree + number / LINE;
	struct node_line *line = bpf_map_lookup_elem(&tree_nodes, &index);

	return line ? &line->node[number % LINE] : NULL;
}

/*
 * The order by load is a tournament: each node of a binary tree names the better of its two children, so the first node
 * names the best of all, and a change of one server is a walk from its leaf to the top. Two CPUs may walk at a time and
 * one of them see what the other is about to change; what is wrong then is one node, until the next walk through it.
 * That is why a walk does not end early where a node stays as it was: the node above may be wrong.
 *
 * A function of its own, without static, so that the verifier looks at it once and not at every way that leads to it.
 */
__noinline int rank(__u32 service_index, __u32 member)
{
	struct service *service = bpf_map_lookup_elem(&services, &service_index);
	__u32 at, best, other, tree, scheduler;
	struct load *load;

	if (!service || !service->leaves)
		return 0;
	tree = service->tree;
	scheduler = service->scheduler;
	best = service->servers + member;
	other = service->servers + (member ^ 1);
	at = (service->leaves + member) & 0xffff;
	load = bpf_map_lookup_elem(&loads, &best);
	if (load && !available(load))
		load = NULL;
#pragma clang loop unroll(disable)
	while (at > 1) {
		struct load *rival = bpf_map_lookup_elem(&loads, &other);
		struct node_line *line;
		__u32 index;

		if (rival && available(rival) && !(load && before(scheduler, load, rival, best < other))) {
			load = rival;
			best = other;
		}
		at >>= 1;
		index = tree + at / LINE;
		line = bpf_map_lookup_elem(&tree_nodes, &index);
		if (!line)
			break;
		line->node[at % LINE] = load ? best : NOBODY;
		/* Two that meet lie side by side. */
		other = line->node[(at ^ 1) % LINE];
	}
	return 0;
}

static __always_inline void load_change(__u32 server, int active, int inactive)
{
	struct load *load = bpf_map_lookup_elem(&loads, &server);
	struct server *record = bpf_map_lookup_elem(&servers, &server);

	if (!load || !record)
		return;
	if (active)
		__sync_fetch_and_add(&load->active, active);
	if (inactive)
		__sync_fetch_and_add(&load->inactive, inactive);
	rank(record->service, record->member);
}

static __always_inline bool waits(__u8 state)
{
	return state == FLOW_OPENING || state == FLOW_CLOSING || state == FLOW_COOKIE;
}

static __always_inline void load_state(__u32 server, __u8 from, __u8 to)
{
	int active = (to == FLOW_ESTABLISHED) - (from == FLOW_ESTABLISHED);
	int inactive = waits(to) - waits(from);

	if (active || inactive)
		load_change(server, active, inactive);
}

/* ---- states ---- */

static __always_inline __u8 state_of(__u32 word)
{
	struct flow flow = { .word = word };

	return flow.state;
}

/*
 * What is in the bucket now, other directors have to know. A function of its own for its stack's sake: the way to its
 * callers has no room for one word more.
 */
__noinline int touch(__u32 bucket)
{
	__u32 zero = 0;
	struct touched *all = bpf_map_lookup_elem(&touched, &zero);

	if (all)
		all->bucket[bucket % TOUCHED] = 1;
	return 0;
}

/*
 * Another state, and the load that goes with it. Two CPUs may have a packet of one connection each, and a third may be
 * forgetting it: only one of them changes the word, and that one counts.
 */
static __always_inline void flow_turn(struct flow *flow, __u32 word, __u8 state)
{
	struct flow next = { .word = word };

	next.state = state;
	if (__sync_val_compare_and_swap(&flow->word, word, next.word) == word)
		load_state(flow->server, state_of(word), state);
}

/* ---- full NAT: ports ---- */

/* A connection that has expired is seen by no CPU any more after about a second. */
#define SETTLED 8

static __always_inline __u32 port_number(const struct address *server, __u16 port, __u16 director_port, __u8 proto)
{
	__u64 rest = (__u64)proto << 32 | (__u32)port << 16 | director_port;

	return hash_of(server->high, server->low ^ flow_seed, rest) & port_mask;
}

static __always_inline __u32 *port_owner(__u32 number)
{
	__u32 index = number / LINE;
	struct port_line *line = bpf_map_lookup_elem(&ports, &index);

	return line ? &line->owner[number % LINE] : NULL;
}

static __always_inline bool expired(const struct flow *flow, __u32 now)
{
	return (__s32)(flow->expires - now) < 0;
}

/* ---- adding ---- */

/* Counts out the flow of a place that the caller has claimed. */
static __always_inline void flow_forget(struct flow *flow, __u32 place)
{
	__u32 word = __sync_lock_test_and_set(&flow->word, 0);

	load_state(flow->server, state_of(word), 0);
	if (has_full_nat && flow->claim) {
		__u32 *owner = port_owner(flow->claim - 1);

		if (owner)
			__sync_val_compare_and_swap(owner, place + 1, 0);
		flow->claim = 0;
	}
}

static __always_inline bool makes_way(__u8 state)
{
	return state == FLOW_OPENING || state == FLOW_CLOSING || state == FLOW_TEMPLATE_OPENING;
}

/*
 * The place for a new flow: a free one, else one that has expired, else the one that is being opened or closed and
 * would expire first, else the established one that would: a flood of SYNs evicts itself. A function of its own for the
 * verifier's sake.
 */
__noinline __u32 flow_place(const struct bucket *bucket, __u32 now)
{
	__u32 best = WAYS, lowest = ~0U;

	if (!bucket)
		return WAYS;
#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WAYS; way++) {
		const struct flow *flow = &bucket->flow[way];
		__u32 tag = bucket->tag[way], score;

		if (!tag)
			return way;
		if (tag == TAG_BUSY)
			continue;
		if (expired(flow, now))
			score = 0;
		else
			score = ((flow->expires - now) & 0x3fffffff) + 1 +
				(makes_way(flow->state) ? 0 : 0x40000000);
		if (score < lowest) {
			lowest = score;
			best = way;
		}
	}
	return best;
}

/* A way with its bound, where the verifier has lost sight of it; clang drops a plain mask. */
static __always_inline __u32 bounded(__u32 way)
{
	asm volatile("%0 &= %1" : "+r"(way) : "i"(WAYS - 1));
	return way;
}

static __always_inline bool claim(struct bucket *bucket, __u32 way, __u32 tag)
{
	return __sync_val_compare_and_swap(&bucket->tag[way], tag, TAG_BUSY) == tag;
}

/* Claims a place; the caller fills it and then publishes it. WAYS where every place is being written. */
static __always_inline __u32 flow_claim(struct bucket *bucket, __u32 number, __u32 now)
{
	__u32 way = flow_place(bucket, now), tag;

	if (way >= WAYS)
		return WAYS;
	way = bounded(way);
	tag = bucket->tag[way];
	if (tag == TAG_BUSY || !claim(bucket, way, tag))
		return WAYS;
	if (tag) {
		if (!expired(&bucket->flow[way], now)) {
			struct server *server = server_at(bucket->flow[way].server);

			if (server)
				count_at(server, FLOW_EVICTED);
		}
		flow_forget(&bucket->flow[way], number * WAYS + way);
	}
	return way;
}

/* Shows a claimed place to packets; with tag 0 as a free one. */
static __always_inline void flow_publish(struct bucket *bucket, __u32 way, __u32 tag)
{
	__sync_lock_test_and_set(&bucket->tag[way], tag);
}
