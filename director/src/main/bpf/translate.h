/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * NAT's side of packets: other addresses and ports, and what follows from that for checksums (RFC 1624), for the packet
 * that an ICMP error quotes, and for fragments, which have no ports.
 */
#pragma once

#include "send.h"

/* Options make the longest IPv4 header; what has longer IPv6 extension headers is the kernel's. */
#define MAX_HEADER4 60
#define MAX_HEADER6 1024

/* Addresses and ports that a packet is to have. */
struct endpoints {
	union {
		__be32 from[4];	/* IPv4: the first */
		__u64 from_words[2];
	};
	union {
		__be32 to[4];
		__u64 to_words[2];
	};
	union {
		struct {
			__be16 from_port_be;
			__be16 to_port_be;
		};
		__u32 ports;
	};
	__u32 keep_from;	/* an error's sender, which may be any router, stays */
	__u32 server;		/* whose service it is, for what is counted */
	__u32 sequence;		/* to be added to the sequence number, in an error to the quoted one */
	__u32 acknowledged;	/* to be taken from the number that is acknowledged */
};

static __always_inline void count_of(const struct endpoints *next, const __u32 reason)
{
	__u32 index = next->server;
	struct server *server = bpf_map_lookup_elem(&servers, &index);

	if (server)
		count_at(server, reason);
}

static __always_inline void to_be(__u64 *words, const struct address *address)
{
	words[0] = bpf_cpu_to_be64(address->high);
	words[1] = bpf_cpu_to_be64(address->low);
}

static __always_inline __u64 changed(__u64 sum, __u32 before, __u32 after)
{
	return sum + (__u32)~before + after;
}

static __always_inline __u64 changed16(__u64 sum, __u16 before, __u16 after)
{
	return sum + (__u16)~before + after;
}

/* RFC 1624, equation 3. */
static __always_inline __u16 adjusted(__u16 check, __u64 change)
{
	return fold_sum((__u16)~check + change);
}

/* Sixteen-bit words of a packet may lie anywhere; the machines that this runs on do not mind. */
static __always_inline __u32 *word_at(void *at)
{
	return at;
}

static __always_inline __u16 *short_at(void *at)
{
	return at;
}

/* Another number of TCP's, by so much; what that changes in a sum is added to it. */
static __always_inline __u64 moved(__u32 *number, __u32 by, __u64 change)
{
	__u32 after = bpf_htonl(bpf_ntohl(*number) + by);

	change = changed(change, *number, after);
	*number = after;
	return change;
}

/*
 * Ports and checksum of a TCP segment or a datagram whose addresses have changed by so much; false, with nothing
 * touched, where the packet ends before them.
 */
static __always_inline bool translate_ports(void *l4, void *end, __u8 proto, const struct endpoints *next, __u64 change)
{
	__u16 *check, value;

	if (proto == IPPROTO_TCP) {
		if (l4 + sizeof(struct tcphdr) > end)
			return false;
		if (has_cookies && next->sequence)
			change = moved(word_at(l4 + offsetof(struct tcphdr, seq)), next->sequence, change);
		if (has_cookies && next->acknowledged)
			change = moved(word_at(l4 + offsetof(struct tcphdr, ack_seq)), -next->acknowledged, change);
		check = short_at(l4 + offsetof(struct tcphdr, check));
		*check = adjusted(*check, changed(change, *word_at(l4), next->ports));
	} else {
		if (l4 + sizeof(struct udphdr) > end)
			return false;
		check = short_at(l4 + offsetof(struct udphdr, check));
		/* RFC 768: zero says that there is none, so that a sum of zero is written as its other form. */
		if (*check) {
			value = adjusted(*check, changed(change, *word_at(l4), next->ports));
			*check = value ? value : 0xffff;
		}
	}
	*word_at(l4) = next->ports;
	return true;
}

/*
 * Ports of a packet that an error quotes, and its checksum as far as that is quoted. What this changes in the error's
 * own sum is added to it.
 */
static __always_inline void translate_quoted_ports(void *l4, void *end, __u32 quoted, __u8 proto, __u32 ports,
						   __u32 sequence, __u64 change, __u64 *sum)
{
	const __u32 at = proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check);
	__u16 *check, before;

	if (proto == IPPROTO_TCP)
		check = short_at(l4 + offsetof(struct tcphdr, check));
	else
		check = short_at(l4 + offsetof(struct udphdr, check));
	change = changed(change, *word_at(l4), ports);
	*sum = changed(*sum, *word_at(l4), ports);
	*word_at(l4) = ports;
	if (has_cookies && sequence && quoted >= 8 && l4 + 8 <= end) {
		__u32 *number = word_at(l4 + offsetof(struct tcphdr, seq)), told = *number;

		change = moved(number, sequence, change);
		*sum = changed(*sum, told, *number);
	}
	if (quoted < at + sizeof(*check) || (void *)(check + 1) > end)
		return;
	before = *check;
	if (proto == IPPROTO_UDP && !before)
		return;
	*check = adjusted(before, change);
	if (proto == IPPROTO_UDP && !*check)
		*check = 0xffff;
	*sum = changed16(*sum, before, *check);
}

static __always_inline __u32 swapped(__u32 ports)
{
	return ports << 16 | ports >> 16;
}

/* The packet that an ICMP error quotes went the other way. */
static __always_inline bool translate_error4(void *l4, void *end, const struct packet *packet,
					     const struct endpoints *next)
{
	struct icmp_error *icmp = l4;
	struct iphdr *ip = (void *)(icmp + 1);
	__u64 change = 0, sum = 0;
	__u32 header, front;
	__u16 before;
	void *inner;

	if ((void *)(ip + 1) > end)
		return false;
	header = ip->ihl * 4;
	inner = (void *)ip + header;
	front = packet->l4 + sizeof(*icmp) + header;
	if (header < sizeof(*ip) || inner + 4 > end || front + 4 > packet->length)
		return false;
	change = changed(change, ip->saddr, next->to[0]);
	change = changed(change, ip->daddr, next->from[0]);
	before = ip->check;
	ip->check = adjusted(before, change);
	sum = changed16(change, before, ip->check);
	ip->saddr = next->to[0];
	ip->daddr = next->from[0];
	translate_quoted_ports(inner, end, packet->length - front, packet->proto, swapped(next->ports),
			       next->sequence, change, &sum);
	icmp->sum = adjusted(icmp->sum, sum);
	return true;
}

static __always_inline __u64 changed6(__u64 sum, const __be32 *before, const __be32 *after)
{
#pragma clang loop unroll(full)
	for (int i = 0; i < 4; i++)
		sum = changed(sum, before[i], after[i]);
	return sum;
}

/* The same for ICMPv6, whose sum counts the addresses that the error itself travels under. */
static __always_inline bool translate_error6(void *l4, void *end, const struct packet *packet,
					     const struct endpoints *next, __u64 sum)
{
	struct icmp_error *icmp = l4;
	struct ipv6hdr *ip = (void *)(icmp + 1);
	const __u32 front = packet->l4 + sizeof(*icmp) + sizeof(*ip);
	__u64 change;

	if ((void *)(ip + 1) + 4 > end || front + 4 > packet->length)
		return false;
	change = changed6(0, ip->saddr.in6_u.u6_addr32, next->to);
	change = changed6(change, ip->daddr.in6_u.u6_addr32, next->from);
	sum += change;
	__builtin_memcpy(&ip->saddr, next->to, 16);
	__builtin_memcpy(&ip->daddr, next->from, 16);
	translate_quoted_ports(ip + 1, end, packet->length - front, packet->proto, swapped(next->ports),
			       next->sequence, change, &sum);
	icmp->sum = adjusted(icmp->sum, sum);
	return true;
}

/* XDP_TX for a packet that is what it is to be; XDP_PASS, with nothing changed, where it is the kernel's. */
static __always_inline int translate4(struct xdp_md *ctx, const struct packet *packet, const struct endpoints *next)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + (packet->l3 & 31);
	void *l4 = (void *)ip + (packet->l4 & 63);
	__be32 from = next->from[0];
	__u64 change = 0;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	if (ip->ttl <= 1) {
		count_of(next, PASS_TTL);
		return XDP_PASS;
	}
	if (next->keep_from)
		from = ip->saddr;
	change = changed(change, ip->saddr, from);
	change = changed(change, ip->daddr, next->to[0]);
	if (packet->icmp) {
		if (!translate_error4(l4, end, packet, next))
			return XDP_PASS;
	} else if (packet->may != MAY_FOLLOW && !translate_ports(l4, end, packet->proto, next, change)) {
		return XDP_PASS;
	}
	ip->saddr = from;
	ip->daddr = next->to[0];
	ip->ttl--;
	/* A hop less is one less in the upper half of its word. */
	ip->check = adjusted(ip->check, change + (__u16)~bpf_htons(0x0100));
	return XDP_TX;
}

static __always_inline int translate6(struct xdp_md *ctx, const struct packet *packet, const struct endpoints *next)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + (packet->l3 & 31);
	void *l4 = (void *)ip + (packet->l4 & (MAX_HEADER6 - 1));
	__u64 change = 0;

	if ((void *)(ip + 1) > end || packet->l4 >= MAX_HEADER6)
		return XDP_PASS;
	if (ip->hop_limit <= 1) {
		count_of(next, PASS_TTL);
		return XDP_PASS;
	}
	if (!next->keep_from)
		change = changed6(change, ip->saddr.in6_u.u6_addr32, next->from);
	change = changed6(change, ip->daddr.in6_u.u6_addr32, next->to);
	if (packet->icmp) {
		if (!translate_error6(l4, end, packet, next, change))
			return XDP_PASS;
	} else if (packet->may != MAY_FOLLOW && !translate_ports(l4, end, packet->proto, next, change)) {
		return XDP_PASS;
	}
	if (!next->keep_from)
		__builtin_memcpy(&ip->saddr, next->from, 16);
	__builtin_memcpy(&ip->daddr, next->to, 16);
	ip->hop_limit--;
	return XDP_TX;
}

/* Whether the packet says that it is shorter than its headers; ports were not read of one that does. */
static __always_inline bool cut_off(const struct packet *packet)
{
	return packet->length < packet->l4 + (packet->icmp ? sizeof(struct icmp_error) : 0);
}

static __always_inline __u32 folded(__u64 sum)
{
	return (__u16)~fold_sum(sum);
}

/* The sum of what a TCP segment's or datagram's checksum counts of the header in front of it. */
static __always_inline __u64 pseudo_sum(const void *l3, const struct packet *packet)
{
	__u64 sum = bpf_htons(packet->proto) + bpf_htons(packet->length - packet->l4);

	if (has_ipv6 && packet->v6) {
		const __be32 *words = ((const struct ipv6hdr *)l3)->saddr.in6_u.u6_addr32;

#pragma clang loop unroll(full)
		for (int i = 0; i < 8; i++)
			sum += words[i];
		return sum;
	}
	return sum + ((const struct iphdr *)l3)->saddr + ((const struct iphdr *)l3)->daddr;
}

static __always_inline __u16 *check_of_l4(void *l4, const struct packet *packet)
{
	return short_at(l4 + (packet->proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) :
							     offsetof(struct udphdr, check)));
}

/*
 * Whether a checksum is only begun. Where sender and director are joined by a virtual link, the sender's kernel leaves
 * the rest to whoever needs it (CHECKSUM_PARTIAL): the field holds the sum of the pseudo header, not complemented, and
 * an XDP program is not told. One packet of 65,536 looks so and is not; it gets the checksum that it has.
 */
static __always_inline bool is_begun(struct xdp_md *ctx, const struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *l3 = data + (packet->l3 & 31);
	void *l4 = l3 + (packet->l4 & (MAX_HEADER6 - 1));

	if (packet->icmp || packet->may == MAY_FOLLOW || packet->fragment || l3 + sizeof(struct ipv6hdr) > end ||
	    l4 + sizeof(struct tcphdr) > end)
		return false;
	return *check_of_l4(l4, packet) == folded(pseudo_sum(l3, packet));
}

/* How much of a packet can be added up: frames of 9,000 bytes and some. */
#define CHUNKS 36

/* False where all has been added. */
static __always_inline bool add_chunk(struct xdp_md *ctx)
{
	__u32 zero = 0, length;
	struct adding *adding = bpf_map_lookup_elem(&adding_up, &zero);

	if (!adding || !adding->left)
		return false;
	/* Its bounds in a way that Linux 6.1 sees them. */
	length = adding->left < CHUNK ? adding->left - 1 : CHUNK - 1;
	asm volatile("%0 &= %1" : "+r"(length) : "i"(CHUNK - 1));
	length++;
	__builtin_memset(adding->chunk, 0, sizeof(adding->chunk));
	if (bpf_xdp_load_bytes(ctx, adding->at & 0xffff, adding->chunk, length))
		return false;
	adding->sum = bpf_csum_diff(NULL, 0, adding->chunk, sizeof(adding->chunk), adding->sum) & 0xffffffff;
	adding->at += length;
	adding->left -= length;
	return true;
}

/* Adds up a checksum that was only begun. */
static __noinline int complete(struct xdp_md *ctx, const struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *l3 = data + (packet->l3 & 31), *l4 = l3 + (packet->l4 & (MAX_HEADER6 - 1));
	struct adding *adding;
	__u16 *check, value;
	__u32 zero = 0;

	adding = bpf_map_lookup_elem(&adding_up, &zero);
	if (!adding || l3 + sizeof(struct ipv6hdr) > end || l4 + sizeof(struct tcphdr) > end)
		return 0;
	check = check_of_l4(l4, packet);
	*check = 0;
	adding->sum = folded(pseudo_sum(l3, packet));
	adding->at = packet->l3 + packet->l4;
	adding->left = packet->length - packet->l4;
#pragma clang loop unroll(disable)
	for (int i = 0; i < CHUNKS && add_chunk(ctx); i++)
		;
	value = fold_sum(adding->sum);
	*check = value || packet->proto == IPPROTO_TCP ? value : 0xffff;
	return 0;
}

static __always_inline int translate(struct xdp_md *ctx, const struct packet *packet, const struct endpoints *next)
{
	bool begun;
	int verdict;

	if (cut_off(packet))
		return XDP_PASS;
	begun = has_partial && is_begun(ctx, packet);
	verdict = has_ipv6 && packet->v6 ? translate6(ctx, packet, next) : translate4(ctx, packet, next);
	if (begun && verdict == XDP_TX)
		complete(ctx, packet);
	return verdict;
}

/* The frame around a translated packet, which may need other VLAN tags than it came with. */
static __always_inline int leave(struct xdp_md *ctx, const struct packet *packet, const __u8 *to, const __u8 *from,
				 __u64 tags, __u32 l3, __u32 interface, const struct endpoints *next)
{
	void *data;

	if (has_vlan && l3 != packet->l3 && bpf_xdp_adjust_head(ctx, (int)packet->l3 - (int)l3)) {
		count_of(next, DROP_HEADROOM);
		return XDP_DROP;
	}
	data = (void *)(long)ctx->data;
	if (data + MAX_L3 > (void *)(long)ctx->data_end)
		return XDP_DROP;
	frame(data, l3, tags, to, from, packet->v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
	return interface == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(interface, 0);
}

/* To the server. What leaves by another interface than it came by leaves its VLAN behind. */
static __noinline int send_nat(struct xdp_md *ctx, const struct packet *packet, const struct server *server,
			       __u32 index)
{
	const bool full = has_full_nat && server->flags & SERVER_FULL_NAT;
	const bool stays = server->interface == ctx->ingress_ifindex;
	struct endpoints next = { .keep_from = packet->icmp && !full, .server = index };
	int verdict;

	if (has_cookies && packet->acknowledges)
		next.acknowledged = packet->translated;
	if (has_cookies && packet->icmp)
		next.sequence = -packet->translated;
	if (has_ipv6 && packet->v6) {
		__builtin_memcpy(next.to, server->addr6_be, 16);
		if (full)
			__builtin_memcpy(next.from, server->source6_be, 16);
		else
			to_be(next.from_words, &packet->source);
	} else {
		next.to[0] = server->addr_be;
		next.from[0] = full ? server->source_be : bpf_htonl(packet->source.low);
	}
	next.from_port_be = full ? packet->nat_port_be : packet->source_port_be;
	next.to_port_be = server->port_be ? server->port_be : packet->port_be;
	verdict = translate(ctx, packet, &next);
	if (verdict != XDP_TX)
		return verdict;
	return leave(ctx, packet, server->to, server->from, packet->tags, stays ? packet->l3 : sizeof(struct ethhdr),
		     server->interface, &next);
}

static __always_inline int send(struct xdp_md *ctx, const struct packet *packet, const struct server *server,
				__u32 index)
{
	if (packet->length + overhead(server) > server->mtu)
		return too_big(ctx, packet, server->mtu - overhead(server), server->service + 1);
	if (has_nat && server->flags & SERVER_NAT)
		return send_nat(ctx, packet, server, index);
	if (has_tunnel && server->flags & SERVER_TUNNEL4)
		return has_gue && server->flags & SERVER_GUE ? send_tunnel4(ctx, packet, server, true)
							     : send_tunnel4(ctx, packet, server, false);
	if (has_tunnel && server->flags & SERVER_TUNNEL6)
		return has_gue && server->flags & SERVER_GUE ? send_tunnel6(ctx, packet, server, true)
							     : send_tunnel6(ctx, packet, server, false);
	return send_direct(ctx, server);
}
