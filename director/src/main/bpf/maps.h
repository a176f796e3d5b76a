/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The tables. Sizes are set by the daemon before loading; those of an array follow the description with room to grow. */
#pragma once

#include "layout.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Constants, set before loading: what is off is not even in the program. */
const volatile __u32 bucket_mask = 0;	/* number of buckets - 1 */
const volatile __u64 flow_seed = 0;	/* makes the flow table's hash unpredictable from outside */
const volatile __u8 has_ipv6 = 1;
const volatile __u8 has_flows = 1;	/* some service remembers connections, or may come to */
const volatile __u8 has_tunnel = 1;
const volatile __u8 has_gue = 1;
const volatile __u8 has_ranges = 1;	/* some service has a range of ports */
const volatile __u8 has_fragments = 1;
const volatile __u8 has_icmp = 1;
const volatile __u8 has_vlan = 1;
const volatile __u8 has_nat = 1;	/* some service's addresses are translated */
const volatile __u8 has_full_nat = 1;	/* the clients' as well */
const volatile __u8 has_quic = 1;	/* connection IDs of some service name its servers */
const volatile __u8 has_partial = 1;	/* NAT: packets may come from this machine, whose checksums are half done */
/*
 * The director's ports for full NAT. Not those that the kernel gives its own connections (net.ipv4.ip_local_port_range,
 * 32768 and above), some of which go to the same servers: the answers to those must not be taken for clients'.
 */
const volatile __u32 nat_first_port = 1024;
const volatile __u32 nat_ports = 31744;
const volatile __u32 port_mask = 0;	/* number of owners in ports - 1 */
const volatile __u8 has_cookies = 1;	/* some service answers SYNs with cookies */
const volatile __u64 cookie_key0 = 0;	/* the directors' secret */
const volatile __u64 cookie_key1 = 0;
const volatile __u32 learn_interval = 0;	/* between connections that one CPU remembers, in ns; 0 for any number */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct vip4_key);
	__type(value, struct vip);
} vips4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct vip6_key);
	__type(value, struct vip);
} vips6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct slot_line);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct server);
} servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct load);
} loads SEC(".maps");

/* Nodes of the orders by load: the server that wins below. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct node_line);
} tree_nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bucket);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct touched);
} touched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct counted);
} reasons SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * SOURCE_CELLS);
	__type(key, __u32);
	__type(value, __u64);
} sources SEC(".maps");

/* When as many connections as this CPU has begun to remember would have come at learn_interval. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} learning SEC(".maps");

/* Where the first fragment of a datagram went, for those that follow and have no ports. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment_key);
	__type(value, struct fragment_to);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct origin);
} origin SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct service_note);
} service_notes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct server_note);
} server_notes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct way_back);
} ways_back SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct port_line);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct quic_key);
	__type(value, __u32);
} quic_ids SEC(".maps");

/* By the service's number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct aes_key);
} quic_keys SEC(".maps");

/* How far a checksum is added up; in a table of its own, so that the verifier keeps no count of it. */
#define CHUNK 256

struct adding {
	__u32 at;
	__u32 left;
	__u64 sum;
	__be32 chunk[CHUNK / 4];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct adding);
} adding_up SEC(".maps");

/* Packets of a service that somebody looks at. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} traces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tracing);
} tracing_now SEC(".maps");

/*
 * Of the packet that is being dealt with: why it went another way, as the reason + 1, and the index of its server. For
 * traces also what it is beyond what every packet is asked, and of an answer that goes on, as whose and to whom.
 */
struct noted {
	__u32 reason;
	__u32 chosen;
	struct address from;
	struct address to;
	__u16 from_port;
	__u16 to_port;
	__u32 what;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct noted);
} last_reason SEC(".maps");

/* Counts in a row of reasons: the number of a service + 1, or 0. */
static __always_inline void count_in(__u32 row, const __u32 reason)
{
	__u32 zero = 0;
	struct counted *counted = bpf_map_lookup_elem(&reasons, &row);
	struct noted *noted = bpf_map_lookup_elem(&last_reason, &zero);

	if (counted)
		counted->n[reason]++;
	if (noted)
		noted->reason = reason + 1;
}

/* What is no service's. */
static __always_inline void count_reason(const __u32 reason)
{
	count_in(0, reason);
}

static __always_inline void count_for(const struct vip *vip, const __u32 reason)
{
	count_in(vip->service + 1, reason);
}

static __always_inline void count_at(const struct server *server, const __u32 reason)
{
	count_in(server->service + 1, reason);
}
