/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The director's program and a floor under it, for timing by the kernel's test run (io.ballast.director.xdp.XdpBenchmark).
 * That one hands the same buffer to every repetition without restoring it, so each program here does that itself: head,
 * addresses, time to live and the client, who is the next of so many as take turns. The floor does the least that a tunnel
 * needs: a header.
 */
#include "balance.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The only variable that begins as zero, so that it lies at the beginning of .bss. */
struct {
	__u32 mask;	/* clients that take turns - 1, a power of two - 1 */
	__u32 last;
	__u64 verdicts[8];
	__u64 arrived;	/* live frames at the end of their way */
	__u32 to_balancer;	/* interfaces that lead there */
	__u32 to_end;
	__u64 length;	/* of the frame before; here, since the stack is full */
} bench;

/* A client by its number: 2^24 addresses, and then the next port. */
static __always_inline int restore(struct xdp_md *ctx, __u64 grown, bool v6)
{
	__u32 client = ++bench.last & bench.mask;
	struct ethhdr *eth;
	struct tcphdr *tcp;
	void *end;

	if (grown && bpf_xdp_adjust_head(ctx, grown))
		return XDP_ABORTED;
	eth = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	tcp = (void *)(eth + 1) + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	if ((void *)(tcp + 1) > end)
		return XDP_ABORTED;
	__builtin_memset(eth->h_dest, 2, 6);
	__builtin_memset(eth->h_source, 4, 6);
	eth->h_proto = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (v6) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		ip->saddr.in6_u.u6_addr32[3] = bpf_htonl(client & 0xffffff);
	} else {
		struct iphdr *ip = (void *)(eth + 1);

		ip->saddr = bpf_htonl(0x0a000000 | (client & 0xffffff));
		/* NAT translates these. */
		ip->daddr = bpf_htonl(0xc0000201);
		ip->ttl = 64;
		tcp->dest = bpf_htons(80);
	}
	tcp->source = bpf_htons(1024 + (client >> 24));
	return 0;
}

static __always_inline __u64 length_of(const struct xdp_md *ctx)
{
	__u64 length = ctx->data_end - ctx->data;

	/* Or the compiler would subtract pointers in another order, which the verifier refuses. */
	asm volatile("" : "+r"(length));
	return length;
}

static __always_inline int timed(struct xdp_md *ctx, bool v6)
{
	int verdict;

	bench.length = length_of(ctx);
	verdict = balance(ctx);
	bench.verdicts[verdict & 7]++;
	restore(ctx, length_of(ctx) - bench.length, v6);
	return verdict;
}

SEC("xdp")
int bench4(struct xdp_md *ctx)
{
	return timed(ctx, false);
}

SEC("xdp")
int bench6(struct xdp_md *ctx)
{
	return timed(ctx, true);
}

/* SYNs that are answered with a cookie: both have a header with one option, so that the frame keeps its length. */
SEC("xdp")
int bench_syn(struct xdp_md *ctx)
{
	int verdict = timed(ctx, false);
	void *l4 = (void *)(long)ctx->data + sizeof(struct ethhdr) + sizeof(struct iphdr);
	struct segment *segment = l4;

	if ((void *)(segment + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	segment->flags_be = bpf_htons(SEGMENT_SYN);
	return verdict;
}

SEC("xdp")
int floor_tx(struct xdp_md *ctx)
{
	bench.verdicts[XDP_TX]++;
	restore(ctx, 0, false);
	return XDP_TX;
}

SEC("xdp")
int floor_ipip(struct xdp_md *ctx)
{
	struct ethhdr *eth;
	struct iphdr *ip;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*ip)))
		return XDP_ABORTED;
	eth = (void *)(long)ctx->data;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memset(eth->h_dest, 6, 6);
	__builtin_memset(eth->h_source, 8, 6);
	eth->h_proto = bpf_htons(ETH_P_IP);
	*(__be16 *)ip = bpf_htons(0x4500);
	ip->tot_len = bpf_htons(60);
	ip->id = 0;
	ip->frag_off = 0;
	ip->ttl = 64;
	ip->protocol = IPPROTO_IPIP;
	ip->saddr = bpf_htonl(0x0a000001);
	ip->daddr = bpf_htonl(0x0a000002);
	ip->check = 0x1234;
	bench.verdicts[XDP_TX]++;
	restore(ctx, 20, false);
	return XDP_TX;
}

/* Empties the flow table, a bucket each time. */
SEC("xdp")
int forget(struct xdp_md *ctx __attribute__((unused)))
{
	__u32 index = bench.last++ & bucket_mask;
	struct bucket *bucket = bpf_map_lookup_elem(&flows, &index);

	if (bucket)
		__builtin_memset(bucket, 0, sizeof(*bucket));
	return XDP_PASS;
}

/*
 * Live frames: generate -> interface of the balancer, or of bare_redirect -> arrive. What else comes along in a network
 * of its own (neighbour discovery) is not counted.
 */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	struct iphdr *ip;

	if (restore(ctx, 0, false))
		return XDP_ABORTED;
	ip = (void *)(long)ctx->data + sizeof(struct ethhdr);
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	/* The kernel forwards no packet whose header is wrong. */
	ip->check = 0;
	ip->check = fold_sum(bpf_csum_diff(NULL, 0, (void *)ip, sizeof(*ip), 0));
	return bpf_redirect(bench.to_balancer, 0);
}

SEC("xdp")
int to_kernel(struct xdp_md *ctx __attribute__((unused)))
{
	return XDP_PASS;
}

SEC("xdp")
int live(struct xdp_md *ctx)
{
	return balance(ctx);
}

SEC("xdp")
int bare_redirect(struct xdp_md *ctx __attribute__((unused)))
{
	return bpf_redirect(bench.to_end, 0);
}

SEC("xdp")
int arrive(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) <= (void *)(long)ctx->data_end && eth->h_proto == bpf_htons(ETH_P_IP))
		bench.arrived++;
	return XDP_DROP;
}
