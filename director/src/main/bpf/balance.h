/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The fast path of the director: what the daemon wrote into the tables (layout.h), applied to every packet that the
 * interface receives, before the kernel has seen it.
 *
 *	read the packet (packet.h) -> whose is it: vips4, vips6 (ranges.h) -> choose the server (schedule.h),
 *	unless there are too many new connections (limits.h)
 *	-> send it there (send.h), translated where the service wants that (translate.h)
 *
 * What a server of such a service sends is no service's by its addresses, but that of a connection (nat.h): it is
 * translated as well and goes to the client, the way that the client's packets come.
 *
 * What is not a service's, or not understood, passes untouched to the kernel.
 */
#pragma once

#include "handshake.h"
#include "ranges.h"
#include "schedule.h"
#include "trace.h"

/* A length with its bound: Linux 6.1 does not see that a swapped short is one, and clang drops a plain mask. */
static __always_inline __u32 short_be(__be16 value)
{
	__u32 length = bpf_ntohs(value);

	asm volatile("%0 &= 0xffff" : "+r"(length));
	return length;
}

static __always_inline __u8 tcp_does(const struct tcphdr *tcp)
{
	if (tcp->rst || tcp->fin)
		return tcp->rst ? RESETS : ENDS;
	return tcp->syn && !tcp->ack ? OPENS : GOES_ON;
}

/* Reads the ports; false where the frame or the packet ends before them. */
static __always_inline bool read_ports(const void *l3, const void *l4, const void *end, struct packet *packet)
{
	const void *stop = l3 + packet->length;

	if (packet->proto == IPPROTO_TCP) {
		const struct tcphdr *tcp = l4;

		if ((void *)(tcp + 1) > end || (void *)(tcp + 1) > stop)
			return false;
		packet->source_port_be = tcp->source;
		packet->port_be = tcp->dest;
		packet->does = tcp_does(tcp);
	} else {
		const struct udphdr *udp = l4;

		if ((void *)(udp + 1) > end || (void *)(udp + 1) > stop)
			return false;
		packet->source_port_be = udp->source;
		packet->port_be = udp->dest;
		packet->does = GOES_ON;
	}
	return true;
}

/* The ports of the packet that an ICMP error quotes: it went from the service to the client. */
static __always_inline bool read_quoted_ports(const void *l4, const void *end, struct packet *packet)
{
	const __be16 *ports = l4;

	if ((packet->proto != IPPROTO_TCP && packet->proto != IPPROTO_UDP) || (void *)(ports + 2) > end)
		return false;
	packet->source_port_be = ports[1];
	packet->port_be = ports[0];
	packet->does = GOES_ON;
	return true;
}

static __always_inline void fragment_key(struct fragment_key *key, const struct packet *packet)
{
	key->source = packet->source;
	key->destination = packet->destination;
	key->id = packet->fragment_id;
	key->proto = packet->proto | (__u32)packet->v6 << 8;
}

/* Functions of their own: their keys would take up the stack of all that the program calls. */
static __noinline int fragments_go(const struct packet *packet, __u32 index, __u32 check)
{
	struct fragment_to to = { .index = index, .check = check };
	struct fragment_key key;

	fragment_key(&key, packet);
	bpf_map_update_elem(&fragments, &key, &to, BPF_ANY);
	return 0;
}

static __noinline struct fragment_to *fragments_went(const struct packet *packet)
{
	struct fragment_key key;

	fragment_key(&key, packet);
	return bpf_map_lookup_elem(&fragments, &key);
}

static __always_inline int deliver(struct xdp_md *ctx, const struct packet *packet, struct server *server, __u32 index)
{
	struct traffic *counted;

	if (!(server->flags & SERVER_READY)) {
		count_at(server, PASS_NO_NEXT_HOP);
		return XDP_PASS;
	}
	counted = bpf_map_lookup_elem(&traffic, &index);
	if (counted) {
		counted->packets++;
		counted->bytes += packet->length;
		/* UDP has no beginning but that it is remembered from now on. */
		if (packet->does == OPENS || (packet->begins && packet->proto == IPPROTO_UDP))
			counted->connections++;
	}
	return send(ctx, packet, server, index);
}

/* NAT: answers go back the way that this packet came. */
static __noinline int remember_way(struct xdp_md *ctx, const struct packet *packet, const struct vip *vip)
{
	__u32 place = (packet->flow & ~FRESH) - 1, mtu = 0;
	struct way_back *back = bpf_map_lookup_elem(&ways_back, &place);
	struct ethhdr *eth = (void *)(long)ctx->data;
	union {
		__be32 be[4];
		__u64 words[2];
	} asked = {};

	if (!back || (void *)(eth + 1) > (void *)(long)ctx->data_end)
		return 0;
	if (has_ipv6 && packet->v6)
		to_be(asked.words, &packet->destination);
	else
		asked.be[0] = bpf_htonl(packet->destination.low);
	__builtin_memcpy(back->vip_be, asked.be, sizeof(asked.be));
	__builtin_memcpy(back->to, eth->h_source, ETH_ALEN);
	__builtin_memcpy(back->from, eth->h_dest, ETH_ALEN);
	back->interface = ctx->ingress_ifindex;
	back->tags = packet->tags;
	back->l3 = packet->l3;
	back->open_ticks = vip->open_ticks;
	back->idle_ticks = vip->idle_ticks;
	back->closing_ticks = vip->closing_ticks;
	back->persists = vip->flags & VIP_PERSIST ? vip->service + 1 : 0;
	bpf_check_mtu(ctx, 0, &mtu, 0, 0);
	/* The loopback's is one more than any packet's length. */
	back->mtu = mtu > 0xffff ? 0xffff : mtu;
	if (has_cookies && packet->begins) {
		back->cookie = packet->proven ? COOKIE_WAITS : COOKIE_NONE;
		back->sequence = packet->acknowledged - 1;
	}
	return 0;
}

static __always_inline int forward(struct xdp_md *ctx, struct packet *packet, const struct vip *vip)
{
	struct server *server;
	__u32 index;

	if (cookies(vip))
		read_sequence(ctx, packet);
	index = choose(ctx, vip, packet);
	server = server_at(index);
	if (packet->traced)
		trace_server(index);
	if (!server) {
		if (index == DROPPED)
			return XDP_DROP;
		if (has_nat && has_cookies && index == GREETED)
			return greet(ctx, packet);
		if (index != NOWHERE)
			count_for(vip, PASS_NO_SERVER);
		return XDP_PASS;
	}
	if (has_nat && packet->flow & FRESH)
		remember_way(ctx, packet, vip);
	if (has_nat && has_cookies && packet->proven && !become_syn(ctx, packet))
		return XDP_DROP;
	if (has_fragments && packet->fragment)
		fragments_go(packet, index, 0);
	return deliver(ctx, packet, server, index);
}

/* What tells a connection from another that has come to its place. */
static __always_inline __u32 check_of(const struct flow *flow)
{
	return flow->client.low ^ ((__u32)flow->client_port << 16 | flow->port) ^ flow->vip;
}

/* A packet of a server to the client of the connection in this place. */
static __noinline int go_back(struct xdp_md *ctx, struct packet *packet, __u32 place, struct flow *flow)
{
	struct way_back *back = bpf_map_lookup_elem(&ways_back, &place);
	struct endpoints next = {};
	__u32 index = flow->server;
	struct traffic *counted;
	int verdict;

	if (!back || !back->mtu)
		return XDP_PASS;
	if (packet->traced)
		trace_answer(ctx, packet, flow, back);
	if (has_cookies && back->cookie && flow->proto == IPPROTO_TCP && !packet->icmp && packet->may != MAY_FOLLOW &&
	    !server_says(ctx, packet, back, flow, &next.sequence))
		return XDP_DROP;
	next.server = index;
	if (packet->length > back->mtu) {
		struct server *server = server_at(index);

		return too_big(ctx, packet, back->mtu, server ? server->service + 1 : 0);
	}
	if (has_ipv6 && packet->v6) {
		__builtin_memcpy(next.from, back->vip_be, 16);
		to_be(next.to_words, &flow->client);
	} else {
		next.from[0] = back->vip_be[0];
		next.to[0] = bpf_htonl(flow->client.low);
	}
	next.from_port_be = bpf_htons(flow->port);
	next.to_port_be = bpf_htons(flow->client_port);
	verdict = translate(ctx, packet, &next);
	if (verdict != XDP_TX)
		return verdict;
	counted = bpf_map_lookup_elem(&traffic, &index);
	if (counted) {
		counted->packets_back++;
		counted->bytes_back += packet->length;
	}
	return leave(ctx, packet, back->to, back->from, back->tags, back->l3, back->interface,
		     &next);
}

static __always_inline struct flow *flow_at(__u32 place)
{
	struct bucket *bucket = flow_bucket(place / WAYS);

	return bucket ? &bucket->flow[place % WAYS] : NULL;
}

/* What no service's address is in may be the answer of a server; else it is the kernel's. */
static __always_inline int answer(struct xdp_md *ctx, struct packet *packet)
{
	__u32 place = answered(packet) - 1;
	struct flow *flow = place == NOBODY ? NULL : flow_at(place);

	if (!flow)
		return XDP_PASS;
	if (packet->wanted)
		trace_begin(packet, 0);
	if (has_fragments && packet->fragment)
		fragments_go(packet, place | BACK, check_of(flow));
	return go_back(ctx, packet, place, flow);
}

/* A fragment without ports goes where the first of its datagram went. */
static __always_inline int follow(struct xdp_md *ctx, struct packet *packet)
{
	struct fragment_to *to = fragments_went(packet);
	struct server *server;

	packet->does = GOES_ON;
	if (has_nat && to && to->index & BACK) {
		__u32 place = to->index & ~BACK;
		struct flow *flow = flow_at(place);

		if (flow && check_of(flow) == to->check)
			return go_back(ctx, packet, place, flow);
		to = NULL;
	}
	server = to ? server_at(to->index) : NULL;
	if (!server) {
		count_reason(PASS_FRAGMENT);
		return XDP_PASS;
	}
	if (server->flags & SERVER_TRACE) {
		trace_begin(packet, 0);
		packet->how = CHOSEN_BY_FRAGMENT;
		trace_server(to->index);
	}
	return deliver(ctx, packet, server, to->index);
}

static __always_inline struct vip *vip4(__be32 addr_be, const struct packet *packet)
{
	struct vip4_key key = { .addr_be = addr_be, .port_be = packet->port_be, .proto = packet->proto };
	struct vip *vip = bpf_map_lookup_elem(&vips4, &key);

	return !vip && has_ranges ? range4(addr_be, packet) : vip;
}

static __always_inline struct vip *vip6(const struct in6_addr *address, const struct packet *packet)
{
	struct vip6_key key = { .port_be = packet->port_be, .proto = packet->proto };
	struct vip *vip;

	__builtin_memcpy(key.addr_be, address, 16);
	vip = bpf_map_lookup_elem(&vips6, &key);
	return !vip && has_ranges ? range6(key.addr_be, packet) : vip;
}

/* No service's, but perhaps a server's answer. */
static __always_inline struct vip *perhaps(struct packet *packet)
{
	packet->may = MAY_ANSWER;
	return NULL;
}

static __always_inline bool icmp_error4(__u8 type)
{
	return type == 3 || type == 11 || type == 12;
}

static __always_inline struct vip *error4(void *l4, void *end, struct packet *packet)
{
	struct icmp_error *icmp = l4;
	struct iphdr *ip = (void *)(icmp + 1);
	struct vip *vip;

	if ((void *)(ip + 1) > end || !icmp_error4(icmp->type) || ip->version != 4 || ip->ihl < 5 ||
	    ip->frag_off & bpf_htons(IP_OFFSET))
		return NULL;
	packet->proto = ip->protocol;
	packet->icmp = 1;
	if (!read_quoted_ports((void *)ip + ip->ihl * 4, end, packet))
		return NULL;
	vip = vip4(ip->saddr, packet);
	if (!vip && !has_nat)
		return NULL;
	address4(&packet->source, ip->daddr);
	address4(&packet->destination, ip->saddr);
	return vip ? vip : perhaps(packet);
}

/* The service's endpoint that the packet is for; NULL where it is not, or where it may be something else. */
static __always_inline struct vip *read4(void *l3, void *end, struct packet *packet)
{
	struct iphdr *ip = l3;
	struct vip *vip;
	void *l4;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return NULL;
	l4 = l3 + ip->ihl * 4;
	packet->proto = ip->protocol;
	packet->length = short_be(ip->tot_len);
	packet->tos = ip->tos;
	packet->dont_fragment = !!(ip->frag_off & bpf_htons(IP_DF));
	if (has_nat || has_quic)
		packet->l4 = ip->ihl * 4;
	if (l3 + packet->length > end)
		return NULL;
	if (ip->frag_off & bpf_htons(IP_OFFSET | IP_MF)) {
		if (!has_fragments || (packet->proto != IPPROTO_TCP && packet->proto != IPPROTO_UDP))
			return NULL;
		packet->fragment_id = ip->id;
		if (ip->frag_off & bpf_htons(IP_OFFSET)) {
			address4(&packet->source, ip->saddr);
			address4(&packet->destination, ip->daddr);
			packet->may = MAY_FOLLOW;
			return NULL;
		}
		packet->fragment = 1;
	}
	if (packet->proto != IPPROTO_TCP && packet->proto != IPPROTO_UDP)
		return has_icmp && packet->proto == IPPROTO_ICMP ? error4(l4, end, packet) : NULL;
	if (!read_ports(l3, l4, end, packet))
		return NULL;
	vip = vip4(ip->daddr, packet);
	if (!vip && !has_nat)
		return NULL;
	address4(&packet->source, ip->saddr);
	address4(&packet->destination, ip->daddr);
	return vip ? vip : perhaps(packet);
}

static __always_inline struct vip *error6(void *l4, void *end, struct packet *packet)
{
	struct icmp_error *icmp = l4;
	struct ipv6hdr *ip = (void *)(icmp + 1);
	struct vip *vip;

	if ((void *)(ip + 1) > end || icmp->type < 1 || icmp->type > 4 || ip->version != 6)
		return NULL;
	packet->proto = ip->nexthdr;
	packet->icmp = 1;
	if (!read_quoted_ports(ip + 1, end, packet))
		return NULL;
	vip = vip6(&ip->saddr, packet);
	if (!vip && !has_nat)
		return NULL;
	address6(&packet->source, ip->daddr.in6_u.u6_addr32);
	address6(&packet->destination, ip->saddr.in6_u.u6_addr32);
	return vip ? vip : perhaps(packet);
}

/* How many extension headers are looked through; one with more passes to the kernel. */
#define EXTENSIONS 4

/* Steps over extension headers; NULL where the packet is not to be looked at further. */
static __always_inline void *past_extensions(void *l4, void *end, struct packet *packet, bool *later)
{
#pragma clang loop unroll(full)
	for (int i = 0; i < EXTENSIONS; i++) {
		struct extension *extension = l4;
		__u8 kind = packet->proto;

		if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
		    kind != IPPROTO_FRAGMENT)
			return l4;
		if ((void *)(extension + 1) > end)
			return NULL;
		packet->proto = extension->next;
		if (kind == IPPROTO_FRAGMENT) {
			l4 += sizeof(*extension);
			if (has_nat || has_quic)
				packet->l4 += sizeof(*extension);
			packet->fragment_id = extension->id_be;
			packet->fragment = !!(extension->offset_be & bpf_htons(0xfff9));
			*later = !!(extension->offset_be & bpf_htons(0xfff8));
			return l4;
		}
		l4 += 8 + extension->length * 8;
		if (has_nat || has_quic)
			packet->l4 += 8 + extension->length * 8;
	}
	return NULL;
}

static __always_inline struct vip *read6(void *l3, void *end, struct packet *packet)
{
	struct ipv6hdr *ip = l3;
	void *l4 = ip + 1;
	struct vip *vip;

	if (l4 > end || ip->version != 6)
		return NULL;
	packet->v6 = 1;
	if (has_nat || has_quic)
		packet->l4 = sizeof(*ip);
	packet->dont_fragment = 1;
	packet->proto = ip->nexthdr;
	packet->length = short_be(ip->payload_len) + sizeof(*ip);
	packet->tos = bpf_ntohl(*(__be32 *)ip) >> 20;
	if (l3 + packet->length > end)
		return NULL;
	if (packet->proto != IPPROTO_TCP && packet->proto != IPPROTO_UDP) {
		bool later = false;

		if (has_icmp && packet->proto == IPPROTO_ICMPV6)
			return error6(l4, end, packet);
		if (!has_fragments)
			return NULL;
		l4 = past_extensions(l4, end, packet, &later);
		if (!l4)
			return NULL;
		if (later) {
			address6(&packet->source, ip->saddr.in6_u.u6_addr32);
			address6(&packet->destination, ip->daddr.in6_u.u6_addr32);
			packet->may = MAY_FOLLOW;
			return NULL;
		}
		if (packet->proto != IPPROTO_TCP && packet->proto != IPPROTO_UDP)
			return NULL;
	}
	if (!read_ports(l3, l4, end, packet))
		return NULL;
	vip = vip6(&ip->daddr, packet);
	if (!vip && !has_nat)
		return NULL;
	address6(&packet->source, ip->saddr.in6_u.u6_addr32);
	address6(&packet->destination, ip->daddr.in6_u.u6_addr32);
	return vip ? vip : perhaps(packet);
}

static __always_inline bool is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

static __always_inline int balance(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet packet = {};
	struct ethhdr *eth = data;
	void *l3 = eth + 1;
	struct vip *vip = NULL;
	__be16 type;
	int verdict;

	if (l3 > end)
		return XDP_PASS;
	type = eth->h_proto;
	packet.l3 = sizeof(*eth);
	if (has_vlan && is_vlan(type)) {
		struct vlan *vlan = l3;

		if ((void *)(vlan + 2) > end)
			return XDP_PASS;
		__builtin_memcpy(&packet.tags, data + 2 * ETH_ALEN, sizeof(packet.tags));
		type = vlan->proto_be;
		l3 = vlan + 1;
		packet.l3 += sizeof(*vlan);
		if (is_vlan(type)) {
			type = vlan[1].proto_be;
			l3 = vlan + 2;
			packet.l3 += sizeof(*vlan);
		}
	}
	if (type == bpf_htons(ETH_P_IP))
		vip = read4(l3, end, &packet);
	else if (has_ipv6 && type == bpf_htons(ETH_P_IPV6))
		vip = read6(l3, end, &packet);
	if (vip) {
		if (vip->flags & VIP_TRACE)
			trace_begin(&packet, vip->scheduler);
		verdict = forward(ctx, &packet, vip);
	} else if (has_fragments && packet.may == MAY_FOLLOW) {
		verdict = follow(ctx, &packet);
	} else if (has_nat && packet.may == MAY_ANSWER) {
		verdict = answer(ctx, &packet);
	} else {
		return XDP_PASS;
	}
	if (packet.traced)
		trace_end(ctx, &packet, verdict);
	return verdict;
}
