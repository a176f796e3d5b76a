/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* How a packet leaves: as it is to another MAC address, or inside a tunnel; or not at all, which its sender is told. */
#pragma once

#include "hash.h"
#include "maps.h"
#include "packet.h"

#define TTL 64
#define MAX_L3 22

/* Shorter than the header of any tunnel can make too long. */
#define QUOTED4 128
#define QUOTED6 256

static __always_inline int out(const struct xdp_md *ctx, const struct server *server)
{
	if (server->interface == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(server->interface, 0);
}

static __always_inline void ethernet(struct ethhdr *eth, const __u8 *to, const __u8 *from)
{
	__builtin_memcpy(eth->h_dest, to, ETH_ALEN);
	__builtin_memcpy(eth->h_source, from, ETH_ALEN);
}

/* Direct routing: only the frame's addresses change. */
static __always_inline int send_direct(struct xdp_md *ctx, const struct server *server)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	ethernet(eth, server->to, server->from);
	return out(ctx, server);
}

static __always_inline __u16 fold_sum(__u64 sum)
{
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline __u16 sum_of(__be32 *words, __u32 length)
{
	return fold_sum(bpf_csum_diff(NULL, 0, words, length, 0) & 0xffffffff);
}

/* The frame's header in front of a new packet: VLAN tags stay as they came. */
static __always_inline void frame(void *data, __u32 l3, __u64 tags, const __u8 *to, const __u8 *from, __be16 type)
{
	ethernet(data, to, from);
	data += 2 * ETH_ALEN;
	if (has_vlan && l3 > sizeof(struct ethhdr)) {
		__builtin_memcpy(data, &tags, sizeof(struct vlan));
		data += sizeof(struct vlan);
		if (l3 > sizeof(struct ethhdr) + sizeof(struct vlan)) {
			__builtin_memcpy(data, (void *)&tags + sizeof(struct vlan), sizeof(struct vlan));
			data += sizeof(struct vlan);
		}
	}
	*(__be16 *)data = type;
}

static __always_inline void write_ip(struct iphdr *ip, __u8 tos, __u16 length, __u8 proto, __be32 from, __be32 to)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = tos;
	ip->tot_len = bpf_htons(length);
	ip->id = 0;
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = TTL;
	ip->protocol = proto;
	ip->check = 0;
	ip->saddr = from;
	ip->daddr = to;
}

static __always_inline void write_ip6(struct ipv6hdr *ip, __u8 tos, __u16 length, __u8 next)
{
	*(__be32 *)ip = bpf_htonl(0x60000000 | (__u32)tos << 20);
	ip->payload_len = bpf_htons(length);
	ip->nexthdr = next;
	ip->hop_limit = TTL;
}

/* GUE variant 1: the packet follows the UDP header directly. The source port spreads flows over queues and paths. */
static __always_inline void write_gue(struct udphdr *udp, const struct packet *packet, const struct server *server)
{
	__u64 hash = hash_of(packet->source.high, packet->source.low, packet->source_port_be);

	udp->source = bpf_htons(0xc000 | (hash & 0x3fff));
	udp->dest = server->port_be;
	udp->len = bpf_htons(packet->length + sizeof(*udp));
	udp->check = 0;
}

/* @row: of reasons */
static __always_inline bool grow(struct xdp_md *ctx, int by, __u32 row)
{
	if (!bpf_xdp_adjust_head(ctx, -by))
		return true;
	count_in(row, DROP_HEADROOM);
	return false;
}

static __always_inline int send_tunnel4(struct xdp_md *ctx, const struct packet *packet, const struct server *server,
					bool gue)
{
	const int more = sizeof(struct iphdr) + (gue ? sizeof(struct udphdr) : 0);
	struct iphdr *ip;
	void *data;

	if (!grow(ctx, more, server->service + 1))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	ip = data + (packet->l3 & 31);
	if (data + MAX_L3 > (void *)(long)ctx->data_end ||
	    (void *)(ip + 1) + sizeof(struct udphdr) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	frame(data, packet->l3, packet->tags, server->to, server->from, bpf_htons(ETH_P_IP));
	write_ip(ip, packet->tos, packet->length + more,
		 gue ? IPPROTO_UDP : packet->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP, server->source_be, server->addr_be);
	/* An inner packet that may be fragmented may be so outside as well: then not by us, but on the way. */
	if (!packet->dont_fragment)
		ip->frag_off = 0;
	ip->check = fold_sum((__u64)server->header_sum + ip->tot_len + bpf_htons(ip->tos) + ip->frag_off +
			     bpf_htons(TTL << 8 | ip->protocol));
	if (gue)
		write_gue((void *)(ip + 1), packet, server);
	return out(ctx, server);
}

static __always_inline int send_tunnel6(struct xdp_md *ctx, const struct packet *packet, const struct server *server,
					bool gue)
{
	const int udp = gue ? sizeof(struct udphdr) : 0;
	struct ipv6hdr *ip;
	void *data;

	if (!grow(ctx, sizeof(*ip) + udp, server->service + 1))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	ip = data + (packet->l3 & 31);
	if (data + MAX_L3 > (void *)(long)ctx->data_end ||
	    (void *)(ip + 1) + sizeof(struct udphdr) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	frame(data, packet->l3, packet->tags, server->to, server->from, bpf_htons(ETH_P_IPV6));
	write_ip6(ip, packet->tos, packet->length + udp,
		  gue ? IPPROTO_UDP : packet->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP);
	__builtin_memcpy(&ip->saddr, server->source6_be, 16);
	__builtin_memcpy(&ip->daddr, server->addr6_be, 16);
	if (gue)
		write_gue((void *)(ip + 1), packet, server);
	return out(ctx, server);
}

/*
 * Tells the sender that its packet is too long for the way to the server (RFC 1191 section 4, RFC 4443 section 3.2), in
 * the name of the address that it asked for. The answer is made of the packet itself: cut, and with headers in front.
 */
static __always_inline int too_big4(struct xdp_md *ctx, const struct packet *packet, __u32 mtu, __u32 row)
{
	const int front = sizeof(struct iphdr) + sizeof(struct icmp_error);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 to[ETH_ALEN], from[ETH_ALEN];
	struct icmp_error *icmp;
	struct ethhdr *eth = data;
	struct iphdr *ip;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(to, eth->h_source, ETH_ALEN);
	__builtin_memcpy(from, eth->h_dest, ETH_ALEN);
	if (bpf_xdp_adjust_tail(ctx, (int)(packet->l3 + QUOTED4) - (int)(end - data)) || !grow(ctx, front, row))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	ip = data + (packet->l3 & 31);
	icmp = (void *)(ip + 1);
	if (data + MAX_L3 > (void *)(long)ctx->data_end ||
	    (void *)(icmp + 1) + QUOTED4 > (void *)(long)ctx->data_end)
		return XDP_DROP;
	frame(data, packet->l3, packet->tags, to, from, bpf_htons(ETH_P_IP));
	write_ip(ip, 0, front + QUOTED4, IPPROTO_ICMP, bpf_htonl(packet->destination.low),
		 bpf_htonl(packet->source.low));
	ip->check = sum_of((void *)ip, sizeof(*ip));
	icmp->type = 3;
	icmp->code = 4;
	icmp->sum = 0;
	icmp->value_be = bpf_htonl(mtu);
	icmp->sum = sum_of((void *)icmp, sizeof(*icmp) + QUOTED4);
	return XDP_TX;
}

static __always_inline int too_big6(struct xdp_md *ctx, const struct packet *packet, __u32 mtu, __u32 row)
{
	const int front = sizeof(struct ipv6hdr) + sizeof(struct icmp_error);
	const __u16 length = sizeof(struct icmp_error) + QUOTED6;
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 to[ETH_ALEN], from[ETH_ALEN];
	struct in6_addr client, vip;
	struct icmp_error *icmp;
	struct ethhdr *eth = data;
	struct ipv6hdr *ip;
	__be32 rest;
	__u64 sum;

	ip = data + (packet->l3 & 31);
	if ((void *)(eth + 1) > end || (void *)(ip + 1) > end)
		return XDP_DROP;
	client = ip->saddr;
	vip = ip->daddr;
	__builtin_memcpy(to, eth->h_source, ETH_ALEN);
	__builtin_memcpy(from, eth->h_dest, ETH_ALEN);
	if (bpf_xdp_adjust_tail(ctx, (int)(packet->l3 + QUOTED6) - (int)(end - data)) || !grow(ctx, front, row))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	ip = data + (packet->l3 & 31);
	icmp = (void *)(ip + 1);
	if (data + MAX_L3 > (void *)(long)ctx->data_end ||
	    (void *)(icmp + 1) + QUOTED6 > (void *)(long)ctx->data_end)
		return XDP_DROP;
	frame(data, packet->l3, packet->tags, to, from, bpf_htons(ETH_P_IPV6));
	write_ip6(ip, 0, length, IPPROTO_ICMPV6);
	ip->saddr = vip;
	ip->daddr = client;
	icmp->type = 2;
	icmp->code = 0;
	icmp->sum = 0;
	icmp->value_be = bpf_htonl(mtu);
	rest = bpf_htonl((__u32)length << 16 >> 16) + bpf_htonl(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(NULL, 0, (void *)&ip->saddr, 2 * sizeof(struct in6_addr), 0) & 0xffffffff;
	sum += (__u64)rest;
	sum = (sum & 0xffffffff) + (sum >> 32);
	icmp->sum = fold_sum(bpf_csum_diff(NULL, 0, (void *)icmp, sizeof(*icmp) + QUOTED6, (__u32)sum) & 0xffffffff);
	return XDP_TX;
}

static __noinline int too_big(struct xdp_md *ctx, const struct packet *packet, __u32 mtu, __u32 row)
{
	count_in(row, DROP_TOO_BIG);
	/* An error is never answered by an error, and of fragments only the first is. */
	if (packet->icmp || packet->may == MAY_FOLLOW)
		return XDP_DROP;
	return packet->v6 ? too_big6(ctx, packet, mtu, row) : too_big4(ctx, packet, mtu, row);
}

static __always_inline __u32 overhead(const struct server *server)
{
	__u32 bytes = 0;

	if (server->flags & SERVER_TUNNEL4)
		bytes = sizeof(struct iphdr);
	else if (server->flags & SERVER_TUNNEL6)
		bytes = sizeof(struct ipv6hdr);
	return bytes + (server->flags & SERVER_GUE ? sizeof(struct udphdr) : 0);
}
