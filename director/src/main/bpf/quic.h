/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * QUIC: a connection outlives its client's address, since its packets name it by a connection ID, and the server chose
 * that ID so that it tells whose it is (draft-ietf-quic-load-balancers). No memory is asked for it and none is needed,
 * but where the service remembers every connection, or translates addresses.
 *
 * Only what RFC 8999 promises of every version is read: the form of the header, and where the ID stands.
 */
#pragma once

#include "aes.h"
#include "flows.h"
#include "maps.h"
#include "packet.h"

#define QUIC_LONG 0x80	/* in the first byte: the header is long, and has the ID's length */
#define QUIC_NONCE 4	/* of the bytes behind a server's ID there are at least so many */
#define QUIC_SMALLEST 21	/* what is shorter is no packet (RFC 9000 section 10.3), and may have no whole ID */

/* Where an ID begins: behind the first byte, or behind version and length. */
#define QUIC_SHORT_ID 1
#define QUIC_LONG_ID 6

/* IPv6 extension headers may be longer; such a packet is not looked into. */
#define QUIC_MAX_HEADER 1024

/* The longest ID of version 1, and room behind it. */
struct quic_id {
	__u8 first;
	__u64 words[2];
	__u16 more;
	__u8 last;
} __attribute__((packed));

#define QUIC_BODY 19	/* bytes of it without the first */
#define QUIC_ROOM 32

_Static_assert(sizeof(struct quic_id) == 1 + QUIC_BODY, "quic_id");
_Static_assert(QUIC_SHORT_ID + sizeof(struct quic_id) == QUIC_SMALLEST, "quic_id");

/* Bytes of an ID, the first of them the lowest of the first word: the machine's order is the little-endian one. */
struct quic_half {
	__u64 low;
	__u64 high;
};

/* The ID in the datagram of a client; NULL where there is none that may be of a server's. */
static __always_inline const struct quic_id *connection_id(const void *datagram, const void *end, int left, __u8 body,
							   bool *opening)
{
	const __u8 *bytes = datagram;

	if (datagram + QUIC_SMALLEST > end || left < QUIC_SMALLEST)
		return NULL;
	*opening = bytes[0] & QUIC_LONG;
	if (!*opening)
		return datagram + QUIC_SHORT_ID;
	/* Version 0 is a server's to send (RFC 8999 section 6). */
	if (datagram + QUIC_LONG_ID + sizeof(struct quic_id) > end || left < QUIC_LONG_ID + (int)sizeof(struct quic_id) ||
	    !(bytes[1] | bytes[2] | bytes[3] | bytes[4]))
		return NULL;
	if (bytes[5] < 1 + body || left < QUIC_LONG_ID + bytes[5])
		return NULL;
	return datagram + QUIC_LONG_ID;
}

/* Leaves so many bytes of it: 1 to 15. */
static __always_inline void quic_keep(struct quic_half *half, __u32 bytes)
{
	__u64 kept = (1ULL << (bytes & 7) * 8) - 1;

	if (bytes < 8) {
		half->low &= kept;
		half->high = 0;
	} else {
		half->high &= kept;
	}
}

/* One pass of the Feistel network, backwards: the half that was changed by the other. */
static __always_inline void quic_pass(struct quic_half *half, const struct quic_half *other, const struct quic_half *mask,
				      const struct aes_key *key, __u64 length, __u64 pass)
{
	struct aes_block block = {
		.half = { other->low, other->high | length << 48 | pass << 56 },
	};

	aes_encrypt(&block, key);
	half->low = (half->low ^ block.half[0]) & mask->low;
	half->high = (half->high ^ block.half[1]) & mask->high;
}

/*
 * Decrypts what follows the first byte of an ID, of a server's ID and a nonce together, as far as the server's ID goes:
 * section 5.5 of the draft. The halves of an odd number of bytes share the one in the middle.
 */
static __noinline int quic_decrypt(__u8 *room, const struct aes_key *key, __u32 server_id, __u32 length)
{
	__u32 half = (length + 1) / 2 & 15, behind = length - half;
	struct quic_half left, right, left_mask = { ~0ULL, ~0ULL }, right_mask;
	bool odd = length & 1;

	behind &= 15;
	quic_keep(&left_mask, half);
	right_mask = left_mask;
	if (odd) {
		__u64 nibble = 0xfULL << (half - 1 & 7) * 8;

		if (half > 8)
			left_mask.high &= ~nibble;
		else
			left_mask.low &= ~nibble;
		right_mask.low &= ~0xf0ULL;
	}
	left.low = *(__u64 *)room & left_mask.low;
	left.high = *(__u64 *)(room + 8) & left_mask.high;
	__builtin_memcpy(&right, room + behind, sizeof(right));
	right.low &= right_mask.low;
	right.high &= right_mask.high;
	quic_pass(&left, &right, &left_mask, key, length, 4);
	quic_pass(&right, &left, &right_mask, key, length, 3);
	quic_pass(&left, &right, &left_mask, key, length, 2);
	*(__u64 *)room = left.low;
	*(__u64 *)(room + 8) = left.high;
	if (server_id > length - server_id) {
		struct quic_half both;

		quic_pass(&right, &left, &right_mask, key, length, 1);
		__builtin_memcpy(&both, room + behind, sizeof(both));
		both.low |= right.low;
		both.high |= right.high;
		__builtin_memcpy(room + behind, &both, sizeof(both));
	}
	return 0;
}

/*
 * Finds the server that a client's connection ID names, if it names one that can be sent to. A long header may be that of
 * a connection that is being opened, whose ID is of the client's making and names a server by chance only: it counts
 * where the server takes new connections. Else a server that drains would get them.
 */
static __noinline int read_connection_id(struct xdp_md *ctx, const struct vip *vip, struct packet *packet)
{
	const void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const void *datagram = data + (packet->l3 & 31) + (packet->l4 & (QUIC_MAX_HEADER - 1)) + sizeof(struct udphdr);
	int left = (int)packet->length - (int)packet->l4 - (int)sizeof(struct udphdr);
	__u32 which = vip->service, *number, nonce;
	const struct quic_id *id;
	struct quic_key name = {};
	struct quic_half words;
	struct service *service;
	struct server *server;
	__u8 length, config;
	bool opening;

	/* The packet that an error quotes has the client's ID. */
	if (packet->icmp || packet->l4 >= QUIC_MAX_HEADER)
		return 0;
	service = bpf_map_lookup_elem(&services, &which);
	if (!service)
		return 0;
	length = service->quic_length & 15;
	config = service->quic_config & QUIC_CONFIG;
	nonce = service->quic_config >> QUIC_NONCE_SHIFT;
	id = connection_id(datagram, end, left, length + (nonce ? nonce : QUIC_NONCE), &opening);
	if (!id || id->first >> 5 != config)
		return 0;
	words.low = id->words[0];
	words.high = id->words[1];
	if (nonce) {
		struct aes_key *key = bpf_map_lookup_elem(&quic_keys, &which);
		__u8 room[QUIC_ROOM] __attribute__((aligned(8))) = {};

		if (!key)
			return 0;
		__builtin_memcpy(room, &words, sizeof(words));
		__builtin_memcpy(room + 16, &id->more, sizeof(id->more));
		room[18] = id->last;
		if (length + nonce == sizeof(struct aes_block))
			aes_decrypt((struct aes_block *)room, key);
		else
			quic_decrypt(room, key, length, length + nonce);
		__builtin_memcpy(&words, room, sizeof(words));
	}
	quic_keep(&words, length);
	words.high |= (__u64)(config << 5 | length) << 56;
	name.service = which;
	__builtin_memcpy(name.id, &words, sizeof(words));
	number = bpf_map_lookup_elem(&quic_ids, &name);
	server = number ? server_at(*number) : NULL;
	if (!server || !(server->flags & SERVER_READY) || server->flags & SERVER_DOWN ||
	    (opening && !(server->flags & SERVER_NEW)))
		return 0;
	packet->named = *number + 1;
	return 0;
}

/* Whether a packet's connection ID names another server than the one that is remembered of its addresses. */
static __always_inline bool names_other(const struct vip *vip, const struct packet *packet, __u32 index)
{
	return has_quic && vip->flags & VIP_QUIC && packet->named && packet->named - 1 != index;
}
