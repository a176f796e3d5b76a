/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The hashes of io.ballast.director.scheduler.FlowKey, bit by bit: directors of every engine must agree. */
#pragma once

#include "layout.h"

static __always_inline __u64 mix(__u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static __always_inline __u64 hash_of(__u64 high, __u64 low, __u64 extra)
{
	return mix(low + high * 0xd1342543de82ef95ULL + (extra + 1) * 0x9e3779b97f4a7c15ULL);
}

/* A number below range from the upper half of the hash, without a division. */
static __always_inline __u32 scale(__u64 hash, __u32 range)
{
	return ((hash >> 32) * range) >> 32;
}

/* The 32 bits of an address that IPVS hashes. */
static __always_inline __u32 fold(__u64 high, __u64 low)
{
	if (high == 0 && low >> 32 == 0xffff)
		return low;
	return (high ^ low) >> 32 ^ (__u32)(high ^ low);
}
