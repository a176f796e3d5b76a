/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A real server's end of a tunnel: takes the outer header off packets that a director has sent for one of the services
 * that this machine is a real server of, and lets the kernel have the inner one. Everything else passes untouched, other
 * tunnels included. Outer fragments and outer headers with options or extensions are left to the kernel: a director
 * sends neither.
 */
#include "packet.h"
#include <bpf/bpf_helpers.h>

#define GUE_PORT 6080

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct address);
	__type(value, __u32);
} tunnel_ends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address);
	__type(value, __u32);
} services SEC(".maps");

/* Packets taken out of their tunnels. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} unpacked SEC(".maps");

/* The frame's addresses and tags. */
struct link_header {
	__u8 macs[2 * ETH_ALEN];
	__be16 type_be;
};

struct link_header_tagged {
	__u8 macs[2 * ETH_ALEN];
	struct vlan tag;
	__be16 type_be;
};

static __always_inline int unpack(struct xdp_md *ctx, __u32 l3, __u32 outer, __be16 type_be)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct link_header_tagged old;
	__u32 key = 0;
	__u64 *count;

	if (data + sizeof(old) > end)
		return XDP_PASS;
	__builtin_memcpy(&old, data, sizeof(old));
	if (bpf_xdp_adjust_head(ctx, outer))
		return XDP_PASS;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(old) > end)
		return XDP_DROP; /* cannot be: an inner header is longer */
	if (l3 == sizeof(struct link_header)) {
		struct link_header *plain = data;

		__builtin_memcpy(plain->macs, old.macs, sizeof(plain->macs));
		plain->type_be = type_be;
	} else {
		old.type_be = type_be;
		__builtin_memcpy(data, &old, sizeof(old));
	}
	count = bpf_map_lookup_elem(&unpacked, &key);
	if (count)
		++*count;
	return XDP_PASS;
}

static __always_inline bool inner4(void *at, void *end)
{
	struct iphdr *ip = at;
	struct address to;

	if ((void *)(ip + 1) > end || ip->version != 4)
		return false;
	address4(&to, ip->daddr);
	return bpf_map_lookup_elem(&services, &to);
}

static __always_inline bool inner6(void *at, void *end)
{
	struct ipv6hdr *ip = at;
	struct address to;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return false;
	address6(&to, ip->daddr.in6_u.u6_addr32);
	return bpf_map_lookup_elem(&services, &to);
}

SEC("xdp")
int decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct link_header *frame = data;
	__u32 l3 = sizeof(*frame), outer;
	struct address to;
	__be16 type;
	__u8 proto;
	void *ip;

	if (data + sizeof(*frame) > end)
		return XDP_PASS;
	type = frame->type_be;
	if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD)) {
		struct link_header_tagged *tagged = data;

		if (data + sizeof(*tagged) > end)
			return XDP_PASS;
		type = tagged->type_be;
		l3 = sizeof(*tagged);
	}
	ip = data + l3;
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *v4 = ip;

		if (ip + sizeof(*v4) > end || v4->ihl != 5 || v4->frag_off & bpf_htons(IP_MF | IP_OFFSET))
			return XDP_PASS;
		address4(&to, v4->daddr);
		proto = v4->protocol;
		outer = sizeof(*v4);
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *v6 = ip;

		if (ip + sizeof(*v6) > end)
			return XDP_PASS;
		address6(&to, v6->daddr.in6_u.u6_addr32);
		proto = v6->nexthdr;
		outer = sizeof(*v6);
	} else {
		return XDP_PASS;
	}
	if (proto != IPPROTO_IPIP && proto != IPPROTO_IPV6 && proto != IPPROTO_UDP)
		return XDP_PASS;
	if (!bpf_map_lookup_elem(&tunnel_ends, &to))
		return XDP_PASS;
	if (proto == IPPROTO_UDP) {
		struct udphdr *udp = ip + outer;
		__u8 *first = (void *)(udp + 1);

		/* GUE's variant 1 has no header of its own: the inner packet's version says what follows. */
		if ((void *)(first + 1) > end || udp->dest != bpf_htons(GUE_PORT))
			return XDP_PASS;
		proto = *first >> 4 == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
		outer += sizeof(*udp);
	}
	if (proto == IPPROTO_IPIP)
		return inner4(ip + outer, end) ? unpack(ctx, l3, outer, bpf_htons(ETH_P_IP)) : XDP_PASS;
	return inner6(ip + outer, end) ? unpack(ctx, l3, outer, bpf_htons(ETH_P_IPV6)) : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
