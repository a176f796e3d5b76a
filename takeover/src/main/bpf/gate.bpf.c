/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The gate before addresses that move between nodes: a frame to or from one of them, or a question or an answer about
 * who has it, passes only while this node holds the address, and for no longer than its daemon is alive. See LeaseGate.
 *
 * Two classifiers, for both directions of an interface, which drop and otherwise decide nothing; and a filter of the
 * socket by which the daemon's ticks come. What is too short to be read passes, since nobody else can read it either.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TAGS 2			/* VLAN */
#define SOLICITATION 135	/* RFC 4861 */
#define ADVERTISEMENT 136
#define ARP_REQUEST 1		/* RFC 826 */
#define ADVERTISED 0x76727270	/* The mark of this node's VRRP advertisements; see Takeover */

enum way {
	ARRIVES,
	LEAVES,
	WAYS,
};

/* What becomes of an address. */
enum holding {
	RELEASED,
	HELD,
	HANDED_OVER,	/* Another is taking it: packets still pass, but nobody is told any more that it is here. */
};

/* What a frame is about an address. */
enum matter {
	ETHERNET,	/* it is to or from a virtual Ethernet address */
	DATA,
	DISCOVERY,	/* of neighbours, by a packet to or from it: what RFC 9568 section 6.4.3 has accepted in any case */
	TELLS,		/* it tells somebody where it is, or asks for that */
};

/* How long a tick is worth. */
const volatile __u64 lease_ns = 75000000;

/* An address, or the virtual Ethernet address that goes with some. */
struct guarded {
	__be32 address_be[4];	/* IPv4 as ::ffff:a.b.c.d, Ethernet a:b:c:d:e:f as ::fffe:ab:cd:ef */
	__u32 link;		/* of one that every link has for itself (fe80::/10, 169.254.0.0/16, Ethernet): which; else 0 */
};

struct state {
	__u32 held;
	__u32 refuses;	/* whether what is sent to it is for nobody here */
	__u64 until;	/* by the clock of bpf_ktime_get_ns: held for no longer */
	__u64 dropped[WAYS];
};

/* Numbers of guarded addresses. Its memory is taken at once: when many come together, older kernels have none at hand. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct guarded);
	__type(value, __u32);
} addresses SEC(".maps");

/* What is known of them, which the daemon changes without a system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct state);
} states SEC(".maps");

/* Until when the daemon is taken for alive, by the clock of bpf_ktime_get_ns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} alive_until SEC(".maps");

/* Who sends to an address that is not held, believing that it is here. */
struct sender {
	__u32 number;	/* the address's */
	__u32 link;
	__u8 mac[ETH_ALEN];
	__u16 none;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sender);
	__type(value, __u64);
} senders SEC(".maps");

/* How many frames that makes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} misdirected SEC(".maps");

struct arp {
	__be16 hardware_be;
	__be16 protocol_be;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation_be;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender_be[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target_be[4];
};

/* From the fifth byte on. */
struct ip6 {
	__be16 length_be;
	__u8 next;
	__u8 hops;
	__be32 source_be[4];
	__be32 destination_be[4];
};

struct neighbour {
	__u8 type;
	__u8 code;
	__be16 sum_be;
	__be32 flags_be;
	__be32 target_be[4];
};

/* Of what has just come in, a header may lie where a program cannot point; the helper gets it. */
static __always_inline bool is_missing(struct __sk_buff *skb, __u32 at, void *to, __u32 length)
{
	void *from = (void *)(long)skb->data + at;

	if (from + length > (void *)(long)skb->data_end)
		return bpf_skb_load_bytes(skb, at, to, length);
	__builtin_memcpy(to, from, length);
	return false;
}

/* A frame that a switch has flooded was meant for another machine, and says nothing of its sender. */
static __always_inline void note_sender(struct __sk_buff *skb, __u32 number)
{
	struct sender sender = { .number = number, .link = skb->ifindex };
	__u64 one = 1, *count;
	__u32 zero = 0;

	if (skb->pkt_type != PACKET_HOST ||
	    is_missing(skb, offsetof(struct ethhdr, h_source), sender.mac, sizeof(sender.mac)))
		return;
	count = bpf_map_lookup_elem(&senders, &sender);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&senders, &sender, &one, BPF_ANY);
	count = bpf_map_lookup_elem(&misdirected, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline bool is_not_held(struct __sk_buff *skb, struct guarded *about, enum way way, enum matter matter)
{
	__u32 zero = 0, *number, held;
	struct state *state;
	__u64 *until, now;

	number = bpf_map_lookup_elem(&addresses, about);
	if (!number)
		return false;
	state = bpf_map_lookup_elem(&states, number);
	until = bpf_map_lookup_elem(&alive_until, &zero);
	if (!state || !until)
		return false;
	held = *(volatile __u32 *)&state->held;
	now = bpf_ktime_get_ns();
	if ((matter == TELLS ? held == HELD : held != RELEASED) && now < *(volatile __u64 *)until &&
	    now < *(volatile __u64 *)&state->until) {
		if (matter != DATA || way != ARRIVES || !*(volatile __u32 *)&state->refuses)
			return false;
	} else if (matter == DATA && way == ARRIVES && held == RELEASED) {
		note_sender(skb, *number);
	}
	__sync_fetch_and_add(&state->dropped[way], 1);
	return true;
}

static __always_inline bool is_shut(struct __sk_buff *skb, struct guarded *about, enum way way, enum matter matter)
{
	if (about->address_be[0]) {
		if ((about->address_be[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
			about->link = skb->ifindex;
	} else if ((about->address_be[3] & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000) &&
		   about->address_be[2] == bpf_htonl(0xffff) && !about->address_be[1]) {
		about->link = skb->ifindex;
	}
	return is_not_held(skb, about, way, matter);
}

/*
 * A frame to or from the Ethernet address of a virtual router (00:00:5e:00:01 and 02, RFC 9568 section 7.3), whatever is in
 * it: a backup that forwards would pass on what a switch floods, and must not teach switches that the address is here.
 */
static __always_inline bool is_shut_ethernet(struct __sk_buff *skb, enum way way)
{
	struct guarded about = { .link = skb->ifindex };
	__be16 mac_be[3];

	if (is_missing(skb, way == ARRIVES ? offsetof(struct ethhdr, h_dest) : offsetof(struct ethhdr, h_source), mac_be,
		       sizeof(mac_be)))
		return false;
	if (mac_be[0] || mac_be[1] != bpf_htons(0x5e00))
		return false;
	about.address_be[2] = bpf_htonl(0xfffe0000);
	about.address_be[3] = bpf_htonl((__u32)bpf_ntohs(mac_be[1]) << 16 | bpf_ntohs(mac_be[2]));
	return is_not_held(skb, &about, way, ETHERNET);
}

static __always_inline bool is_shut4(struct __sk_buff *skb, const void *address_be, enum way way, enum matter matter)
{
	struct guarded about = { .address_be[2] = bpf_htonl(0xffff) };

	__builtin_memcpy(&about.address_be[3], address_be, 4);
	return is_shut(skb, &about, way, matter);
}

static __always_inline bool is_shut6(struct __sk_buff *skb, const __be32 *address_be, enum way way, enum matter matter)
{
	struct guarded about = {};

	__builtin_memcpy(about.address_be, address_be, 16);
	return is_shut(skb, &about, way, matter);
}

static __always_inline bool drops_arp(struct __sk_buff *skb, __u32 at, enum way way)
{
	struct arp arp;

	if (is_missing(skb, at, &arp, sizeof(arp)) || arp.protocol_be != bpf_htons(ETH_P_IP) ||
	    arp.hardware_length != ETH_ALEN || arp.protocol_length != 4)
		return false;
	if (way == LEAVES)
		return is_shut4(skb, arp.sender_be, way, TELLS);
	/*
	 * Answers, and announcements in the form of a request, come from who has the address now. No kernel answers those,
	 * and this node's table has to learn from them.
	 */
	if (arp.operation_be != bpf_htons(ARP_REQUEST) || !__builtin_memcmp(arp.sender_be, arp.target_be, 4))
		return false;
	return is_shut4(skb, arp.target_be, way, TELLS);
}

static __always_inline bool drops4(struct __sk_buff *skb, __u32 at, enum way way)
{
	__be32 address_be;

	if (is_missing(skb, at + (way == ARRIVES ? 16 : 12), &address_be, sizeof(address_be)))
		return false;
	return is_shut4(skb, &address_be, way, DATA);
}

static __always_inline bool drops6(struct __sk_buff *skb, __u32 at, enum way way)
{
	struct neighbour about = {};
	struct ip6 ip;
	bool discovers;
	__u8 next;

	if (is_missing(skb, at + 4, &ip, sizeof(ip)))
		return false;
	at += 4 + sizeof(ip);
	next = ip.next;
	if (next == IPPROTO_HOPOPTS) {
		struct ipv6_opt_hdr {
			__u8 next;
			__u8 length;	/* in 8 bytes, without the first 8 */
		} options;

		if (!is_missing(skb, at, &options, sizeof(options))) {
			next = options.next;
			at += 8 + 8 * options.length;
		}
	}
	discovers = next == IPPROTO_ICMPV6 && !is_missing(skb, at, &about, sizeof(about));
	if (is_shut6(skb, way == ARRIVES ? ip.destination_be : ip.source_be, way,
		     discovers && (about.type == SOLICITATION || about.type == ADVERTISEMENT) ? DISCOVERY : DATA))
		return true;
	/* Behind other headers a question gets an answer of the kernel, which has none of them, and does not leave. */
	if (!discovers)
		return false;
	/* A solicitation from it tells its receiver as well. */
	if (way == LEAVES && about.type == SOLICITATION)
		return is_shut6(skb, ip.source_be, way, TELLS);
	return about.type == (way == ARRIVES ? SOLICITATION : ADVERTISEMENT) &&
	       is_shut6(skb, about.target_be, way, TELLS);
}

static __always_inline bool lives(void)
{
	__u32 zero = 0;
	__u64 *until = bpf_map_lookup_elem(&alive_until, &zero);

	return until && bpf_ktime_get_ns() < *(volatile __u64 *)until;
}

static __always_inline int gate(struct __sk_buff *skb, enum way way)
{
	__u32 at = offsetof(struct ethhdr, h_proto);
	bool drops = false;
	__be16 type_be;

	/* One that was queued for a time at which the process stood still: others may be master by now. */
	if (way == LEAVES && skb->mark == ADVERTISED) {
		if (!lives())
			return TC_ACT_SHOT;
	} else if (is_shut_ethernet(skb, way)) { /* The first advertisement leaves before the addresses are here. */
		return TC_ACT_SHOT;
	}

	for (int i = 0; i <= TAGS; i++) {
		if (is_missing(skb, at, &type_be, sizeof(type_be)))
			return TC_ACT_UNSPEC;
		at += sizeof(type_be);
		if (type_be != bpf_htons(ETH_P_8021Q) && type_be != bpf_htons(ETH_P_8021AD))
			break;
		at += 2;
	}
	if (type_be == bpf_htons(ETH_P_IP))
		drops = drops4(skb, at, way);
	else if (type_be == bpf_htons(ETH_P_IPV6))
		drops = drops6(skb, at, way);
	else if (type_be == bpf_htons(ETH_P_ARP))
		drops = drops_arp(skb, at, way);
	return drops ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int arrives(struct __sk_buff *skb)
{
	return gate(skb, ARRIVES);
}

SEC("tc")
int leaves(struct __sk_buff *skb)
{
	return gate(skb, LEAVES);
}

/*
 * A tick, in the context of who sends it; there is nothing to receive. It extends a lease that runs, and begins none: what
 * was queued for a time at which the process stood still is sent when it goes on, and others may have the addresses then.
 */
SEC("socket")
int tick(struct __sk_buff *skb __attribute__((unused)))
{
	__u32 zero = 0;
	__u64 *until = bpf_map_lookup_elem(&alive_until, &zero), before, now;

	if (!until)
		return 0;
	before = *(volatile __u64 *)until;
	now = bpf_ktime_get_ns();
	/* Not over one that the daemon has ended meanwhile. */
	if (now < before)
		__sync_val_compare_and_swap(until, before, now + lease_ns);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
