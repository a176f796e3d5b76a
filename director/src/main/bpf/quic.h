/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * QUIC: a connection outlives its client's address, since its packets name it by a connection ID, and the server chose
 * that ID so that it tells whose it is (draft-ietf-quic-load-balancers). No memory is asked for it and none is needed,
 * but where the service remembers every connection, or translates addresses.
 *
 * Only what RFC 8999 promises of every version is read: the form of the header, and where the ID stands.
 */
#pragma once

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

/* An ID's beginning: the configuration's number, and of the words as many bytes as a server's ID has. */
struct quic_id {
	__u8 first;
	__u64 words[2];
} __attribute__((packed));

_Static_assert(sizeof(struct quic_id) == 17, "quic_id");

/* The ID in the datagram of a client; NULL where there is none that may be of a server's. */
static __always_inline const struct quic_id *connection_id(const void *datagram, const void *end, int left, __u8 length,
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
	if (bytes[5] < 1 + length + QUIC_NONCE || left < QUIC_LONG_ID + bytes[5])
		return NULL;
	return datagram + QUIC_LONG_ID;
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
	__u32 which = vip->service, *number;
	const struct quic_id *id;
	struct quic_key key = {};
	struct service *service;
	struct server *server;
	__u64 words[2];
	bool opening;
	__u8 length;

	/* The packet that an error quotes has the client's ID. */
	if (packet->icmp || packet->l4 >= QUIC_MAX_HEADER)
		return 0;
	service = bpf_map_lookup_elem(&services, &which);
	if (!service)
		return 0;
	length = service->quic_length;
	id = connection_id(datagram, end, left, length, &opening);
	if (!id || id->first >> 5 != service->quic_config)
		return 0;
	words[0] = id->words[0];
	words[1] = id->words[1];
	/* The machine's order is the little-endian one: the first byte is the lowest. */
	if (length < 8) {
		words[0] &= (1ULL << (length & 7) * 8) - 1;
		words[1] = 0;
	} else {
		words[1] &= (1ULL << (length & 7) * 8) - 1;
	}
	words[1] |= (__u64)(service->quic_config << 5 | length) << 56;
	key.service = which;
	__builtin_memcpy(key.id, words, sizeof(words));
	number = bpf_map_lookup_elem(&quic_ids, &key);
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
