/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A real server's answers to the clients of a service that reaches it in a tunnel: says in each SYN-ACK how long a
 * segment may be that fits the tunnel. Such an answer goes straight to the client, so no director can say it. A
 * classifier on the way out: it changes the MSS option where that is too high and nothing else, and decides about no
 * packet.
 *
 * A SYN-ACK leaves TCP with a checksum that is only begun (CHECKSUM_PARTIAL), which covers no option yet; where another
 * program has finished it, the helper changes it by the difference.
 */
#include "packet.h"
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define OPTION_END 0
#define OPTION_NOTHING 1
#define OPTION_MSS 2
#define OPTION_AUTHENTICATION 29	/* TCP-AO: a digest covers the options (RFC 5925) */
#define MOST_OPTIONS 40			/* bytes; each has one at least */

/* Where a service answers from. */
struct answering {
	struct address address;
	__be16 port_be;		/* 0: any port that has no entry of its own */
	__u16 none[3];
};

/* The MSS that fits. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct answering);
	__type(value, __u32);
} fitting SEC(".maps");

/* Answers whose MSS was lowered. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lowered SEC(".maps");

struct option {
	__u8 kind;
	__u8 length;
	__be16 value_be;
};

static __always_inline void lower(struct __sk_buff *skb, __u32 tcp, __u32 at, __be16 before, __be16 after)
{
	__u32 zero = 0;
	__u64 *count;
	__be16 was = before, is = after;

	if ((at - tcp) & 1) {
		/* Its bytes belong to two words of the sum. */
		was = __builtin_bswap16(before);
		is = __builtin_bswap16(after);
	}
	if (bpf_l4_csum_replace(skb, tcp + offsetof(struct tcphdr, check), was, is, sizeof(is)))
		return;
	bpf_skb_store_bytes(skb, at, &after, sizeof(after), 0);
	count = bpf_map_lookup_elem(&lowered, &zero);
	if (count)
		++*count;
}

SEC("tc")
int clamp(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	struct answering from = {};
	__u32 l4 = sizeof(struct ethhdr), at = 0, length, highest;
	struct tcphdr *tcp;
	__u32 *fits;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + l4;

		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(IP_OFFSET))
			return TC_ACT_UNSPEC;
		address4(&from.address, ip->saddr);
		l4 += ip->ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + l4;

		if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_TCP)
			return TC_ACT_UNSPEC;
		address6(&from.address, ip->saddr.in6_u.u6_addr32);
		l4 += sizeof(*ip);
	} else {
		return TC_ACT_UNSPEC;
	}
	tcp = data + l4;
	if ((void *)(tcp + 1) > end || !tcp->syn || !tcp->ack || tcp->doff * 4 < sizeof(*tcp))
		return TC_ACT_UNSPEC;
	from.port_be = tcp->source;
	fits = bpf_map_lookup_elem(&fitting, &from);
	if (!fits) {
		from.port_be = 0;
		fits = bpf_map_lookup_elem(&fitting, &from);
		if (!fits)
			return TC_ACT_UNSPEC;
	}
	highest = *fits;
	length = tcp->doff * 4 - sizeof(*tcp);
	for (int i = 0; i < MOST_OPTIONS && at + sizeof(struct option) <= length; i++) {
		__u32 here = l4 + sizeof(*tcp) + at;
		struct option option;

		if (bpf_skb_load_bytes(skb, here, &option, sizeof(option)))
			break;
		if (option.kind == OPTION_NOTHING)
			option.length = 1;
		else if (option.kind == OPTION_END || option.kind == OPTION_AUTHENTICATION || option.length < 2)
			break;
		if (option.kind == OPTION_MSS) {
			if (option.length == sizeof(option) && bpf_ntohs(option.value_be) > highest)
				lower(skb, l4, here + offsetof(struct option, value_be), option.value_be,
				      bpf_htons(highest));
			break;
		}
		at += option.length;
		if (at > MOST_OPTIONS)
			break;
		/* Says again what is known, or older verifiers go through every combination of lengths. */
		asm volatile("%0 &= 63" : "+r"(at));
	}
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual MIT/GPL";
