/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The packets of a handshake by cookie (cookies.h), each made of the one that came. */
#pragma once

#include "cookies.h"
#include "translate.h"

#define MSS_OPTION 0x02040000

/* The words of a TCP header with one option. */
struct segment {
	__u32 ports;
	__be32 sequence_be;
	__be32 acknowledged_be;
	__be16 flags_be;
	__be16 window_be;
	__u32 check_and_urgent;
	__be32 option_be;
};

#define SEGMENT_SYN 0x6002
#define SEGMENT_SYN_ACK 0x6012
#define SEGMENT_ACK 0x6010

/*
 * What cookies need of a segment, which is plain where it is an acknowledgement and nothing else. One that is not
 * simple opens no connection.
 */
static __always_inline void read_sequence(struct xdp_md *ctx, struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tcphdr *tcp = data + (packet->l3 & 31) + (packet->l4 & (MAX_HEADER6 - 1));

	if (packet->icmp || packet->proto != IPPROTO_TCP || (void *)(tcp + 1) > end)
		return;
	packet->acknowledges = tcp->ack;
	if (packet->fragment || packet->l4 != (packet->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)))
		return;
	packet->sequence = bpf_ntohl(tcp->seq);
	packet->acknowledged = bpf_ntohl(tcp->ack_seq);
	packet->plain = tcp->ack && !tcp->syn && !tcp->fin && !tcp->rst &&
			packet->length == packet->l4 + tcp->doff * 4U;
	packet->simple = 1;
}

/* The MSS that a SYN names, as a number of cookie_mss, rounded down. */
static __always_inline __u32 mss_of(void *l4, void *end, __u32 length)
{
	__u32 mss = 536, at = sizeof(struct tcphdr);

#pragma clang loop unroll(disable)
	for (int i = 0; i < 8; i++) {
		__u8 *option = l4 + (at & 63);

		if (at + 4 > length || at > 56 || (void *)(option + 4) > end || option[0] == 0)
			break;
		if (option[0] == 2) {
			mss = (__u32)option[2] << 8 | option[3];
			break;
		}
		at += option[0] == 1 ? 1 : option[1] < 2 ? 64 : option[1];
	}
	return mss >= 8940 ? 7 : mss >= 1460 ? 6 : mss >= 1440 ? 5 : mss >= 1420 ? 4 : mss >= 1380 ? 3 :
	       mss >= 1300 ? 2 : mss >= 1220 ? 1 : 0;
}

/* Fills in the checksum of such a segment, which is short enough for one look. */
static __always_inline int sum_up(struct xdp_md *ctx, const struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *l3 = data + (packet->l3 & 31);
	struct segment *segment = l3 + (packet->l4 & 63);
	__u64 sum;

	if (l3 + sizeof(struct ipv6hdr) > end || (void *)(segment + 1) > end)
		return 0;
	segment->check_and_urgent = 0;
	sum = pseudo_sum(l3, packet);
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < sizeof(*segment) / 4; i++)
		sum += ((__be32 *)segment)[i];
	*short_at((void *)segment + offsetof(struct tcphdr, check)) = fold_sum(sum);
	return 1;
}

/* Gives the frame the length of a header with one option, and the IP header that; NULL where that cannot be. */
static __always_inline struct segment *one_option(struct xdp_md *ctx, struct packet *packet)
{
	const __u32 length = packet->l4 + sizeof(struct segment);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct segment *segment;

	if (bpf_xdp_adjust_tail(ctx, (int)(packet->l3 + length) - (int)(end - data)))
		return NULL;
	data = (void *)(long)ctx->data + (packet->l3 & 31);
	end = (void *)(long)ctx->data_end;
	segment = data + (packet->l4 & 63);
	if (data + sizeof(struct ipv6hdr) > end || (void *)(segment + 1) > end)
		return NULL;
	packet->length = length;
	if (has_ipv6 && packet->v6) {
		((struct ipv6hdr *)data)->payload_len = bpf_htons(sizeof(*segment));
	} else {
		struct iphdr *ip = data;

		ip->check = adjusted(ip->check, changed16(0, ip->tot_len, bpf_htons(length)));
		ip->tot_len = bpf_htons(length);
	}
	return segment;
}

/* The answer to a SYN: nothing is remembered of it. */
static __noinline int greet(struct xdp_md *ctx, struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *l4 = data + (packet->l3 & 31) + (packet->l4 & 63);
	__u32 mss, own, mtu = 0, length = packet->length - packet->l4;
	struct segment *segment;
	struct ethhdr *eth;
	__u8 to[ETH_ALEN];

	mss = mss_of(l4, end, length);
	bpf_check_mtu(ctx, 0, &mtu, 0, 0);
	own = (mtu ? mtu : 1500) - packet->l4 - sizeof(struct tcphdr);
	segment = one_option(ctx, packet);
	if (!segment)
		return XDP_DROP;
	segment->ports = swapped(segment->ports);
	segment->sequence_be = bpf_htonl(cookie_of(packet, packet->sequence, cookie_count(), mss));
	segment->acknowledged_be = bpf_htonl(packet->sequence + 1);
	segment->flags_be = bpf_htons(SEGMENT_SYN_ACK);
	segment->window_be = 0;
	segment->check_and_urgent = 0;
	segment->option_be = bpf_htonl(MSS_OPTION | (own & 0xffff));
	data = (void *)(long)ctx->data;
	eth = data;
	data += packet->l3 & 31;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(struct ipv6hdr) > end || (void *)(eth + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(to, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, to, ETH_ALEN);
	if (has_ipv6 && packet->v6) {
		struct ipv6hdr *ip = data;
		struct in6_addr client = ip->saddr;

		ip->saddr = ip->daddr;
		ip->daddr = client;
		ip->hop_limit = TTL;
		*(__be32 *)ip = bpf_htonl(0x60000000);
	} else {
		struct iphdr *ip = data;
		__be32 client = ip->saddr;

		write_ip(ip, 0, packet->length, IPPROTO_TCP, ip->daddr, client);
		ip->check = sum_of((void *)ip, sizeof(*ip));
	}
	return sum_up(ctx, packet) ? XDP_TX : XDP_DROP;
}

/* The acknowledgement of a cookie becomes the SYN that the client sent; false where there is no room for it. */
static __noinline int become_syn(struct xdp_md *ctx, struct packet *packet)
{
	struct segment *segment = one_option(ctx, packet);

	if (!segment)
		return 0;
	segment->sequence_be = bpf_htonl(packet->sequence);
	segment->acknowledged_be = 0;
	segment->flags_be = bpf_htons(SEGMENT_SYN);
	segment->check_and_urgent = 0;
	segment->option_be = bpf_htonl(MSS_OPTION | cookie_mss(packet->mss & 7));
	packet->acknowledges = 0;
	return sum_up(ctx, packet);
}

/*
 * A server's segment of a connection that came by a cookie; tells how its sequence number changes. False where it is not
 * for the client: the server has not answered the SYN yet.
 */
static __noinline int server_says(struct xdp_md *ctx, struct packet *packet, struct way_back *back, struct flow *flow,
				  __u32 *change)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct segment *segment = data + (packet->l3 & 31) + (packet->l4 & 63);
	__u32 sequence, word = flow->word;
	__be32 after_be;
	__u64 sum = 0;
	__u16 *check;
	bool begun;

	if (back->cookie == COOKIE_OVER) {
		*change = back->sequence;
		return 1;
	}
	if (packet->l4 > 63 || (void *)segment + sizeof(struct tcphdr) > end)
		return 0;
	sequence = bpf_ntohl(segment->sequence_be);
	if (packet->does == RESETS) {
		/* It has none yet that the client could know. */
		*change = back->sequence + 1 - sequence;
		return 1;
	}
	if (segment->flags_be != bpf_htons(SEGMENT_SYN_ACK) || (void *)(segment + 1) > end)
		return 0;
	/* Of one that is only begun nothing of this is counted yet. */
	begun = has_partial && is_begun(ctx, packet);
	*change = back->sequence - sequence;
	back->sequence = *change;
	back->cookie = COOKIE_OVER;
	after_be = bpf_htonl(sequence + 1);
	sum = changed(sum, segment->sequence_be, after_be);
	sum = changed16(sum, bpf_htons(SEGMENT_SYN_ACK), bpf_htons(SEGMENT_ACK));
	sum = changed(sum, segment->option_be, bpf_htonl(0x01010101));
	segment->sequence_be = after_be;
	segment->flags_be = bpf_htons(SEGMENT_ACK);
	segment->option_be = bpf_htonl(0x01010101);
	if (!begun) {
		check = short_at((void *)segment + offsetof(struct tcphdr, check));
		*check = adjusted(*check, sum);
	}
	if (state_of(word) == FLOW_COOKIE)
		flow_turn(flow, word, FLOW_ESTABLISHED);
	return 1;
}
