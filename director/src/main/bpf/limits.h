/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How many connections may come a second: those of a service, those of one client, and those that a CPU remembers.
 *
 * Each limit is one word, the time at which the connections that have come would all have come, were they an interval
 * apart (GCRA: ITU-T I.371 annex A, the virtual scheduling algorithm). A connection is too early where that time lies
 * further ahead than a burst. One word is changed in one step, so that no CPU waits for another, and where everything is
 * refused nothing is written at all. The clock that only goes by the kernel's ticks will do, since a burst is longer.
 */
#pragma once

#include "flows.h"

#define BURST 100000000ULL		/* of a service, and of what a CPU remembers */
#define SOURCE_BURST 1000000000ULL	/* of one client: browsers open several connections at once */

static __always_inline bool too_early(__u64 due, __u64 now, __u64 interval, __u64 burst)
{
	return (__s64)(due - now) > (__s64)(interval < burst ? burst - interval : 0);
}

/* Counts a connection; false where it is one too many. */
static __always_inline bool admit(__u64 *due, __u64 now, __u64 interval, __u64 burst)
{
	__u64 before = *due, base = (__s64)(before - now) < 0 ? now : before;

	if (too_early(before, now, interval, burst))
		return false;
	if (__sync_val_compare_and_swap(due, before, base + interval) == before)
		return true;
	/* Another CPU came first, and has brought it to the present. */
	return !too_early(__sync_fetch_and_add(due, interval), now, interval, burst);
}

static __always_inline bool may_learn(void)
{
	__u32 zero = 0;
	__u64 *due;

	if (!learn_interval)
		return true;
	due = bpf_map_lookup_elem(&learning, &zero);
	return !due || admit(due, bpf_ktime_get_coarse_ns(), learn_interval, BURST);
}

/*
 * Whether a client has opened too many. IPv6 clients are networks of 64 bits, since one host has a whole one. A cell that
 * is over already is left as it is, so that whoever is over does not draw others that meet it there further in.
 */
static __always_inline bool source_is_over(__u32 number, __u64 interval, const struct packet *packet, __u64 now)
{
	__u64 hash = hash_of(packet->source.high, (packet->v6 ? 0 : packet->source.low) ^ flow_seed, number);
	__u32 one = hash & (SOURCE_CELLS - 1), other = SOURCE_CELLS + (hash >> 32 & (SOURCE_CELLS - 1));
	__u64 *first = bpf_map_lookup_elem(&sources, &one), *second = bpf_map_lookup_elem(&sources, &other);
	bool taken;

	if (!first || !second)
		return false;
	taken = admit(first, now, interval, SOURCE_BURST);
	return !admit(second, now, interval, SOURCE_BURST) && !taken;
}

/* Whether a new connection is over a rate of its service; counted then. */
__noinline int over_rate(__u32 number, const struct packet *packet)
{
	struct service *service = bpf_map_lookup_elem(&services, &number);
	__u64 now = bpf_ktime_get_coarse_ns();

	if (!service || !packet)
		return 0;
	if (service->source_interval && source_is_over(number, service->source_interval, packet, now)) {
		count_in(number + 1, DROP_SOURCE_RATE);
		return 1;
	}
	if (service->new_interval && !admit(&service->new_due, now, service->new_interval, BURST)) {
		count_in(number + 1, DROP_RATE);
		return 1;
	}
	return 0;
}

static __always_inline void count_unlearned(__u32 number)
{
	count_in(number + 1, FLOW_UNLEARNED);
}
