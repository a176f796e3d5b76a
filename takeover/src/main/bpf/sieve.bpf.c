/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What of the packets of VRRP gets into the queue of the socket that hears them, so that a flood fills it with little that
 * the daemon need not see. See Sieve.
 *
 * Nothing is decided here for good but what router-ids are not this node's: what looks wrong still passes, so that the
 * daemon can say what is wrong with it, but seldom.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VRRP 112
#define NEAR 255		/* The TTL of what no router has passed on. */
#define SIGNATURE 28		/* Bytes of HmacTrailer. */
#define WORD 4
#define WORDS 1029		/* The longest message has 8 + 255 * 16 bytes, and a signature. */

#define MS 1000000ULL

/* In nanoseconds, what each takes of its kind's time, and how far the kind may be ahead of its time. */
#define KNOWN_EACH (2 * MS)	/* 500 a second of a sender that is known; none has reason to send more than 100 */
#define KNOWN_AHEAD (400 * MS)
#define STRANGE_EACH (1 * MS)
#define STRANGE_AHEAD (1000 * MS)
#define WRONG_EACH (20 * MS)
#define WRONG_AHEAD (1000 * MS)

const volatile __u32 ipv6 = 0;

/* Sieve has the same. */
enum reason {
	CROWDED,
	TTL,
	LENGTH,
	CHECKSUM,
	AUTHENTICATION,
	UNSIGNED,
	NO_PEER,
	REASONS,
	RIGHT = REASONS,
};

enum flag {
	OURS = 1,
	ON_LINK = 2,		/* Nothing that a router has passed on is taken. */
	PEERS = 4,		/* All senders are known. */
	PASSWORD = 8,
	SIGNED = 16,
};

struct router {
	__u32 flags;
	__u8 password[8];
	__u32 none;
	__u64 wrong_due;
	__u64 dropped[REASONS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct router);
} routers SEC(".maps");

struct sender {
	__be32 address_be[4];	/* IPv4 as ::ffff:a.b.c.d */
	__u32 router_id;
};

/* Those that have been heard and understood, and peers; when the next of each is due. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sender);
	__type(value, __u64);
} senders SEC(".maps");

/* When the next of all others is due. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} strangers SEC(".maps");

struct header {
	__u8 version_type;
	__u8 router_id;
	__u8 priority;
	__u8 count;
	__be16 interval_be;
	__be16 sum_be;
};

/* @addresses_be: source and destination, as they stand in the IP header. */
struct packet {
	__be16 addresses_be[16];
	__u32 at;		/* where the message begins, and how long it is with all that is behind it */
	__u32 length;
	__u8 ttl;
};

/* Whether there was one too many; two processors at once may let one more pass. */
static __always_inline bool is_early(__u64 *due, __u64 each, __u64 ahead)
{
	__u64 now = bpf_ktime_get_ns(), next = *(volatile __u64 *)due;

	if (next < now)
		next = now;
	if (next - now > ahead)
		return true;
	*(volatile __u64 *)due = next + each;
	return false;
}

static __always_inline __u32 fold(__u64 sum)
{
	for (int i = 0; i < 4; i++)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/*
 * @length: of all that is summed, which is words of 4 bytes, as is everything in an advertisement. There is no function to be
 * called for each, as only a kernel with a compiler for programs could.
 */
static __always_inline bool has_wrong_sum(struct __sk_buff *skb, struct packet *packet, __u32 length, bool plain, bool pseudo)
{
	__u64 sum = 0;
	__be16 part_be[WORD / 2];

	for (__u32 i = 0; i < WORDS; i++) {
		if (i * WORD >= length)
			break;
		if (bpf_skb_load_bytes(skb, packet->at + i * WORD, part_be, WORD))
			return true;
		sum += part_be[0];
		sum += part_be[1];
	}
	if (plain && fold(sum) == 0xffff)
		return false;
	for (int i = 0; i < 16; i++)
		sum += packet->addresses_be[i];
	sum += bpf_htons(VRRP) + bpf_htons(length);
	return !pseudo || fold(sum) != 0xffff;
}

/* Where the IP header and what follows it are: of IPv4 the socket gets both, of IPv6 the latter. */
static __always_inline bool is_unreadable(struct __sk_buff *skb, struct packet *packet)
{
	__u8 first;

	if (ipv6)
		return bpf_skb_load_bytes_relative(skb, 7, &packet->ttl, 1, BPF_HDR_START_NET) ||
		       bpf_skb_load_bytes_relative(skb, 8, packet->addresses_be, 32, BPF_HDR_START_NET);
	if (bpf_skb_load_bytes(skb, 0, &first, 1) || bpf_skb_load_bytes(skb, 8, &packet->ttl, 1) ||
	    bpf_skb_load_bytes(skb, 12, packet->addresses_be, 8))
		return true;
	packet->at = (first & 0xf) * 4;
	if (packet->at > packet->length)
		return true;
	packet->length -= packet->at;
	return false;
}

static __always_inline enum reason judge(struct __sk_buff *skb, struct packet *packet, struct router *router, bool known)
{
	__u32 flags = *(volatile __u32 *)&router->flags, length = packet->length, own;
	struct header header;
	__u64 sent, expected;
	bool two;

	if ((flags & PEERS) && !known)
		return NO_PEER;
	if ((flags & ON_LINK) && packet->ttl != NEAR)
		return TTL;
	if (bpf_skb_load_bytes(skb, packet->at, &header, sizeof(header)))
		return LENGTH;
	two = header.version_type >> 4 == 2;
	own = sizeof(header) + header.count * (ipv6 ? 16 : 4) + (two ? 8 : 0);
	if (length != own && length != own + SIGNATURE)
		return LENGTH;
	if ((flags & SIGNED) && length == own)
		return UNSIGNED;
	if (two && (flags & PASSWORD)) {
		__builtin_memcpy(&expected, router->password, sizeof(expected));
		if (bpf_skb_load_bytes(skb, packet->at + own - sizeof(sent), &sent, sizeof(sent)) || sent != expected)
			return AUTHENTICATION;
	}
	/* Behind a message of IPv4 the signature is no part of the sum; of version 3 there are two forms. */
	if (has_wrong_sum(skb, packet, ipv6 ? length : own, !ipv6, !two))
		return CHECKSUM;
	return RIGHT;
}

SEC("socket")
int hears(struct __sk_buff *skb)
{
	struct packet packet = { .length = skb->len };
	struct router *router;
	struct sender from = {};
	enum reason reason;
	__u64 *sender, *due;
	__u32 id, zero = 0;
	__u8 start[2];

	if (is_unreadable(skb, &packet) || bpf_skb_load_bytes(skb, packet.at, start, sizeof(start)))
		return 0;
	id = start[1];
	router = bpf_map_lookup_elem(&routers, &id);
	due = bpf_map_lookup_elem(&strangers, &zero);
	if (!router || !due || !(*(volatile __u32 *)&router->flags & OURS))
		return 0;
	from.router_id = id;
	if (ipv6) {
		__builtin_memcpy(from.address_be, packet.addresses_be, 16);
	} else {
		from.address_be[2] = bpf_htonl(0xffff);
		__builtin_memcpy(&from.address_be[3], packet.addresses_be, 4);
	}
	sender = bpf_map_lookup_elem(&senders, &from);
	reason = judge(skb, &packet, router, sender);
	if (reason != RIGHT ? !is_early(&router->wrong_due, WRONG_EACH, WRONG_AHEAD) :
	    sender ? !is_early(sender, KNOWN_EACH, KNOWN_AHEAD) :
		     !is_early(due, STRANGE_EACH, STRANGE_AHEAD))
		return skb->len;
	if (reason >= REASONS)
		reason = CROWDED;
	__sync_fetch_and_add(&router->dropped[reason], 1);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
