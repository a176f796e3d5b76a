/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What a packet says, read once. */
#pragma once

#include "layout.h"
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#define IP_MF 0x2000
#define IP_DF 0x4000
#define IP_OFFSET 0x1fff
#define MAPPED 0x0000ffff00000000ULL

struct vlan {
	__be16 tag_be;
	__be16 proto_be;
};

enum opening {
	GOES_ON,	/* of a connection that exists, or a datagram */
	OPENS,		/* a SYN */
	ENDS,		/* FIN */
	RESETS,		/* RST */
};

enum may {
	MAY_FOLLOW = 1,	/* a later fragment, which has no ports */
	MAY_ANSWER,	/* of a server whose service's addresses are translated */
};

/* A packet of a client; for an ICMP error, what the packet that it is about would have been the other way round. */
struct packet {
	struct address source;
	struct address destination;
	__be16 source_port_be;
	__be16 port_be;
	__u8 proto;
	__u8 does;	/* enum opening */
	__u8 v6;
	__u8 icmp;	/* an ICMP error about it */
	__u8 fragment;	/* the first of several: what follows has to go where it went */
	__u8 dont_fragment;
	__u8 tos;
	__u8 may;	/* enum may, where it is for no service */
	union {
		__u32 fragment_id;
		__u32 sequence;	/* cookies: where it is simple */
	};
	__u32 l3;	/* where the IP header begins */
	__u32 length;	/* of the IP packet */
	__u64 tags;	/* VLAN: what stands between the frame's addresses and its last type */
	__u32 flow;	/* NAT: number of the remembered connection from 1 on, and FRESH */
	__be16 nat_port_be;	/* full NAT: of that one */
	__u16 l4;	/* NAT, QUIC: where the next header begins, counted from l3 */
	union {
		__u32 named;		/* QUIC: number of the server that the connection ID names, from 1 on */
		__u32 acknowledged;	/* cookies: where it is simple */
		__u32 translated;	/* then, of a known connection: what is taken from what it acknowledges */
	};
	__u8 how;	/* enum chosen, where it is not by the service's own scheduler; for traces, as is what follows */
	__u8 traced : 1;
	__u8 wanted : 1;	/* an answer: its service is traced */
	__u8 begins : 1;	/* its connection is remembered from now on */
	__u8 scheduler;
	/* Cookies: */
	__u8 simple : 1;	/* the sequence is read, and there is nothing between the headers */
	__u8 plain : 1;		/* an acknowledgement and nothing else */
	__u8 acknowledges : 1;
	__u8 proven : 1;	/* it acknowledges a cookie: it becomes a SYN */
	__u8 mss : 3;
};

/* The way back has to be written: the flow is new, or it was not for a while. */
#define FRESH 0x80000000

/* ICMP's and ICMPv6's common beginning. */
struct icmp_error {
	__u8 type;
	__u8 code;
	__u16 sum;
	__be32 value_be;
};

static __always_inline bool ends(const struct packet *packet)
{
	return packet->does >= ENDS;
}

struct extension {
	__u8 next;
	__u8 length;	/* in 8 bytes, without the first 8 */
	__be16 offset_be;	/* of a fragment header: in 8 bytes, with flags in the last 3 bits */
	__be32 id_be;
};

static __always_inline __u64 word_be(const __be32 *two)
{
	return (__u64)bpf_ntohl(two[0]) << 32 | bpf_ntohl(two[1]);
}

static __always_inline void address6(struct address *to, const __be32 *from)
{
	to->high = word_be(from);
	to->low = word_be(from + 2);
}

static __always_inline void address4(struct address *to, __be32 from)
{
	to->high = 0;
	to->low = MAPPED | bpf_ntohl(from);
}
