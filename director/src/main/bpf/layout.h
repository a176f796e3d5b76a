/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the data plane and the daemon both read and write. Everything here is laid out by hand, without holes, in the
 * machine's byte order but where a name ends in _be, and mirrored by io.ballast.director.xdp.Layout: a change here must
 * be made there as well. The packet and schedule tests write tables by the one and read them by the other.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* An address as two numbers, the way FlowKey has it: the 128 bits of the IPv6 form, IPv4 as ::ffff:a.b.c.d. */
struct address {
	__u64 high;
	__u64 low;
};

/*
 * Where clients arrive: key of the services' maps. Either a port and range 0; or port 0 and a number from 1 on, in a row:
 * a range of ports of this address and protocol, which the vip has. Ranges are for ports that no key has of their own.
 * They lie apart but for the last, which may be every port and so has what the others leave.
 */
struct vip4_key {
	__be32 addr_be;
	__be16 port_be;
	__u8 proto;
	__u8 range;
};

struct vip6_key {
	__be32 addr_be[4];
	__be16 port_be;
	__u8 proto;
	__u8 range;
};

#define RANGES 8	/* of one address and protocol */

/* How a new connection finds its server. */
enum scheduler {
	BY_SLOT_OF_HASH = 0,	/* mh: a table by a 64-bit hash of the client */
	BY_SLOT_OF_SOURCE = 1,	/* sh: a table of 2^n slots by the client's folded address */
	BY_SLOT_OF_DESTINATION = 2,	/* dh: the same by the address asked for */
	IN_TURN = 3,		/* rr, wrr: the cycle, written out */
	LEAST_CONNECTION = 4,	/* lc */
	WEIGHTED_LEAST_CONNECTION = 5,	/* wlc */
	SHORTEST_EXPECTED_DELAY = 6,	/* sed */
	NEVER_QUEUE = 7,	/* nq */
};

/* Flags of a vip. */
#define VIP_HASH_PORT	0x0001	/* the client's port counts in the hash */
#define VIP_LOOKUP	0x0002	/* connections may be remembered: look before deciding */
#define VIP_REMEMBER	0x0004	/* every connection is remembered, not only those in moved slots */
#define VIP_NAT		0x0008	/* addresses are translated; goes with LOOKUP and REMEMBER */
#define VIP_FULL_NAT	0x0010	/* the client's as well; goes with NAT */
#define VIP_PERSIST	0x0020	/* clients stay at their server (persist.h); goes with LOOKUP and REMEMBER */
#define VIP_QUIC	0x0040	/* of UDP: connection IDs name the server */
#define VIP_LIMIT	0x0080	/* only so many new connections a second: the service says how many */
#define VIP_COOKIES	0x0100	/* there may be connections that came by a cookie (cookies.h); goes with NAT */
#define VIP_TRACE	0x0200	/* somebody looks on (trace.h) */

#define NO_SERVER	0x7fff		/* in a slot */
#define SLOT_DOUBTFUL	0x8000		/* of base: a connection in this slot may be remembered */
#define NOBODY		0xffffffff	/* in a tree */
#define NOWHERE		0xfffffffe	/* instead of a server's index: the packet is the kernel's, and why is counted */
#define MAYBE		0xfffffffd	/* instead of a server's index: memory has to be asked */
#define DROPPED		0xfffffffc	/* the same: the packet is nobody's */
#define GREETED		0xfffffffb	/* the same: its SYN is answered with a cookie */
#define STRIDE		(1 << 20)	/* between the turns of a server with weight 1 */

/* One address, protocol and port or range of ports of a service. Replaced as a whole, so that a packet sees the old or the new one. */
struct vip {
	__u32 id;		/* of this endpoint, never 0 */
	__u32 service;		/* index of services */
	__u32 servers;		/* the service's first server: its members are numbered from here */
	__u32 slots;		/* first line of the table */
	__u32 slot_count;
	__u16 flags;
	__u8 scheduler;
	__u8 slot_bits;		/* log2 of slot_count for sh and dh */
	__u32 open_ticks;	/* how long a connection without a packet is remembered: being opened */
	__u32 idle_ticks;	/* established, or a UDP flow */
	__u32 closing_ticks;	/* one side has closed */
	__u16 first_port;	/* of a range; of a single one the same twice */
	__u16 last_port;
};

/*
 * A slot of a table. New connections go to current; packets of connections that nobody remembers go to base, which is
 * where connections opened before the last change went. Where both are the same, nothing needs to be remembered; where
 * they have always been since anything was, nobody is.
 */
struct slot {
	__u16 current;
	__u16 base;	/* and SLOT_DOUBTFUL */
};

/* Slots, and nodes of trees, by the cache line: a map's values cannot lie closer together than 8 bytes. */
#define LINE 16

struct slot_line {
	struct slot slot[LINE];
};

struct node_line {
	__u32 node[LINE];
};

/* Flags of a server. */
#define SERVER_READY	0x0001	/* packets can be sent to it: next hop known, not removed, not reset */
#define SERVER_NEW	0x0002	/* new connections may go to it */
#define SERVER_TUNNEL4	0x0004	/* inside IPv4 */
#define SERVER_TUNNEL6	0x0008	/* inside IPv6 */
#define SERVER_GUE	0x0010	/* the tunnel is GUE rather than plain IP in IP */
#define SERVER_DOWN	0x0020	/* its checks fail: flows without a connection move */
#define SERVER_NAT	0x0040	/* under its own address and port */
#define SERVER_FULL_NAT	0x0080	/* and from the director's address source: goes with NAT */

#define SERVER_TRACE	0x0100	/* somebody looks on at its service */

/* The fragments of one datagram. */
struct fragment_key {
	struct address source;
	struct address destination;
	__u32 id;
	__u32 proto;
};

/* Where and how packets for a real server leave. One cache line, and the IPv6 addresses in the next. */
struct server {
	__u8 to[6];		/* next hop */
	__u8 from[6];		/* the interface it leaves by */
	__u16 flags;
	__u16 nothing;
	__u32 interface;
	__u32 mtu;		/* of that interface */
	__be32 addr_be;		/* IPv4: of the server, or the tunnel's end */
	__be32 source_be;	/* IPv4: the tunnel's beginning, or the director's address for full NAT */
	__u32 header_sum;	/* of the constant words of the tunnel's IPv4 header */
	__u32 service;
	__be16 port_be;		/* of GUE; of the server for NAT, 0 for the one that the client asked for */
	__u16 member;		/* its number in the service */
	__u32 zero[5];
	__be32 addr6_be[4];
	__be32 source6_be[4];
	__u32 more[8];
};

/* What a server has, for the schedulers that compare. */
struct load {
	__u32 active;
	__u32 inactive;
	__u32 weight;		/* 0: not to be picked */
	__u32 limit;		/* connections at a time, 0 for any number */
	__u64 turn;		/* among servers of the same load, the least goes first */
};

/* What a service counts for its schedule, and where the tree of one is that compares loads. */
struct service {
	__u64 given;		/* in turn: how many connections */
	__u64 last;		/* by load: the turn at which the last connection was given */
	__u32 servers;
	__u32 tree;		/* first line of its nodes; number 1 is the top */
	__u32 leaves;		/* a power of two; 0 where the scheduler does not compare loads */
	__u32 scheduler;
	__u32 persist_ticks;	/* how long a client is remembered; 0: not at all */
	__u8 persist_mask4;	/* how much of an address makes a client */
	__u8 persist_mask6;
	__u8 quic_config;	/* the first three bits of connection IDs that name servers; above, the nonce's length */
	__u8 quic_length;	/* of a server's ID, in bytes */
	__u32 new_interval;	/* between new connections, in ns; 0 for any number */
	__u32 source_interval;	/* the same of one client */
	__u64 new_due;		/* when as many connections as there were would have come at that interval */
	__u32 trace_every;
	__u32 cookies;		/* enum cookies_when, of endpoints with VIP_COOKIES */
};

/* Whether SYNs are answered with cookies. Those of before are good in any case. */
enum cookies_when {
	COOKIES_ALWAYS,
	COOKIES_NEVER,
};

/*
 * What a client has opened lately: the time, as new_due, of all clients that meet in one cell. Each client has a cell in
 * each of two rows, and meets others in each.
 */
#define SOURCE_CELLS 65536

/*
 * QUIC: which server of a service an ID names. The ID's bytes stand at the beginning; the last byte has its length and
 * the configuration in the upper three bits, so that IDs of an old and a new configuration may be there side by side.
 */
#define QUIC_ID 15

struct quic_key {
	__u32 service;
	__u8 id[QUIC_ID + 1];
};

/* In quic_config; a nonce of no length is of IDs that are not encrypted. */
#define QUIC_CONFIG 7
#define QUIC_NONCE_SHIFT 3

#define AES_ROUNDS 10

/* The key of encrypted IDs, expanded (FIPS 197 section 5.2): the words of each round, their first byte the lowest. */
struct aes_key {
	__u32 word[4 * (AES_ROUNDS + 1)];
};

struct aes_block {
	union {
		__u32 word[4];
		__u64 half[2];
		__u8 byte[16];
	};
};

/* Traffic of one server; per CPU. */
struct traffic {
	__u64 packets;
	__u64 bytes;
	__u64 connections;
	__u64 packets_back;	/* to clients; those of NAT only, others are not seen */
	__u64 bytes_back;
};

/* Why a packet did not go the usual way: in a service's row of reasons, per CPU; row 0 is of what is no service's. */
enum reason {
	PASS_NO_SERVER,		/* no server can take it; the kernel answers */
	PASS_NO_NEXT_HOP,	/* the server's next hop is not known yet */
	PASS_FRAGMENT,		/* a fragment whose beginning was not seen */
	DROP_TOO_BIG,		/* the same, and may not: answered by packet-too-big or fragmentation-needed */
	DROP_HEADROOM,		/* no room for a tunnel's header */
	FLOW_TABLE_FULL,	/* a connection that could not be remembered; it was forwarded all the same */
	FLOW_EVICTED,		/* one that was forgotten for another */
	PASS_NO_FLOW,		/* NAT: the end of a connection that nobody remembers, or an error about it */
	PASS_NO_PORT,		/* NAT: no port was free, or the server's answers would be another connection's as well */
	PASS_TTL,		/* NAT: it has travelled far enough; the kernel answers */
	PASS_KILLED,		/* of a connection that the operator has ended; the kernel answers with a reset */
	DROP_RATE,		/* a new connection over its service's rate */
	DROP_SOURCE_RATE,	/* one over its client's rate */
	FLOW_UNLEARNED,		/* one too many to be remembered at the moment; dropped where it has to be */
	SYN_GREETED,		/* a SYN that was answered with a cookie */
	SYN_PROVEN,		/* a connection whose client has acknowledged one */
	REASONS
};

struct counted {
	__u64 n[REASONS];
};

/* How a traced packet's server was found. */
enum chosen {
	CHOSEN_BY_NOTHING,	/* not at all */
	CHOSEN_BY_MEMORY,	/* its connection is remembered */
	CHOSEN_BY_SLOT,		/* of a table */
	CHOSEN_BY_BASE,		/* the same, where connections opened before the last change went */
	CHOSEN_IN_TURN,
	CHOSEN_BY_LOAD,
	CHOSEN_BY_FRAGMENT,	/* as the first of its datagram */
	CHOSEN_BACK,		/* not at all: it is an answer, whose connection is remembered */
	CHOSEN_BY_CLIENT,	/* persistence */
	CHOSEN_BY_ID,		/* QUIC */
};

/* What a traced packet is. */
#define TRACED_ERROR	0x01	/* an ICMP error about a packet of the other direction */
#define TRACED_FIRST	0x02	/* the first of several fragments */
#define TRACED_LATER	0x04	/* a later one */
#define TRACED_SYN_ACK	0x08	/* of a server */
#define TRACED_PROOF	0x10	/* it acknowledges a cookie, and so opens its connection */

/*
 * One packet in the ring buffer, under the addresses that it came with (of an ICMP error, those of the packet that it
 * quotes, the other way round). What they become is told of answers; of others the daemon knows all but the ports.
 */
struct trace_record {
	__u64 time;		/* ns since the machine started */
	struct address source;
	struct address destination;
	struct address out_source;
	struct address out_destination;
	__u32 interface;	/* it came by */
	__u32 length;
	__u32 server;		/* NOBODY: none */
	__u32 verdict;		/* enum xdp_action */
	__u32 reason;		/* enum reason, from 1 on; 0: none */
	__u16 source_port;
	__u16 port;
	__u16 out_source_port;	/* full NAT: of the director; of an answer, of the service */
	__u16 out_port;		/* NAT: of the server; of an answer, of the client */
	__u8 proto;
	__u8 does;		/* enum opening */
	__u8 how;		/* enum chosen */
	__u8 what;
};

/* Which packets are told of; changed by the daemon. */
struct tracing {
	__u64 seen;
	__u64 lost;		/* records for which there was no room */
	__u32 every;		/* of so many packets one */
	__s32 left;		/* so many records yet */
};

/* State of a remembered connection. */
enum flow_state {
	FLOW_OPENING = 1,	/* counts as inactive */
	FLOW_ESTABLISHED = 2,	/* counts as active */
	FLOW_CLOSING = 3,	/* counts as inactive */
	FLOW_TEMPLATE = 4,	/* no connection, but a client's server (persist.h) */
	FLOW_COOKIE = 5,	/* came by a cookie, and the server has not answered its SYN: counts as inactive */
	FLOW_KILLED = 6,	/* ended by the operator (kill.h); counts no more */
	FLOW_TEMPLATE_OPENING = 7,	/* the same while none of the client's connections has come about */
};

/*
 * The flow table: buckets of eight, each tag 0 for a free place, 1 for one that is being written, else a part of the
 * hash. A flow lives in the one bucket that its hash names. That makes room a question of this bucket alone, which is
 * what keeps a new connection as cheap as a known one: no lists, no locks, no allocation.
 */
#define WAYS 8

#define TEMPLATE_OF 0x80000000

struct flow {
	struct address client;
	__u32 vip;		/* id of the endpoint; of a template the service's number and TEMPLATE_OF */
	__u16 client_port;
	__u16 port;		/* that the client asked for */
	__u32 server;		/* index of servers */
	__u32 expires;		/* in ticks */
	union {
		struct {
			__u8 state;
			__u8 proto;
			__be16 nat_port_be;	/* full NAT: the director's port, under which the server knows the client */
		};
		__u32 word;	/* changed as a whole where what it says is counted */
	};
	__u32 claim;		/* full NAT: which of ports is this one's, from 1 on */
};

struct bucket {
	__u32 tag[WAYS];
	struct flow flow[WAYS];
};

/*
 * Where another director ought to look: a byte is not 0 when a connection in one of its buckets has been established or
 * closed since the daemon cleared it, or a client has been given a server. Bucket n has byte n % TOUCHED.
 */
#define TOUCHED 65536

struct touched {
	__u8 bucket[TOUCHED];
};

/*
 * What a daemon that starts has to know of the tables that it finds, and no packet needs: whose they are, and where the
 * parts of each service lie. It is written before what it tells of, and erased after. Numbers are those of the arrays.
 */
struct origin {
	__u64 layout;		/* digest of this file; written last, so that 0 is half a beginning */
	__u64 program;		/* digest of the object */
	__u64 flow_seed;
};

#define NAME 64

struct service_note {
	__u32 used;
	__u32 scheduler;
	__u32 servers;		/* the first */
	__u32 capacity;		/* how many numbers of servers, and leaves of the tree */
	__u32 slots;		/* first line of a table that is written to its end */
	__u32 slot_count;	/* 0: none */
	__u32 tree;
	__u32 zero;
	__u64 changed;		/* when the table changed last, in ns */
	char name[NAME];
};

/* Flags of a server_note. */
#define SERVER_GONE	0x0001	/* not in the description any more */
#define SERVER_CUT	0x0002	/* its time to drain is over */
#define SERVER_IPV6	0x0004	/* its address is of IPv6, else of IPv4 in the first four bytes */

struct server_note {
	__u32 service;		/* number of its service + 1; 0: nobody has this number */
	__u32 last_weight;
	__u64 cut_at;		/* when its time to drain is over, in ns */
	__u8 address[16];
	__u16 port;
	__u16 flags;
	__u32 zero;
	char name[NAME];
};

/* Whether a connection came by a cookie. */
enum cookie_state {
	COOKIE_NONE,
	COOKIE_WAITS,	/* the server has not answered its SYN */
	COOKIE_OVER,	/* sequence numbers differ */
};

/*
 * NAT: how answers get to a flow's client, as its last packets came. One for each place of the flow table, and one cache
 * line.
 */
struct way_back {
	__be32 vip_be[4];	/* that the client asked for; IPv4: the first */
	__u8 to[6];		/* the router that the client's packets came from, or the client */
	__u8 from[6];		/* to which they came */
	__u32 interface;
	__u64 tags;		/* VLAN: between the frame's addresses and its last type */
	__u8 l3;		/* length of the frame's header */
	__u8 cookie;		/* enum cookie_state */
	__u16 mtu;		/* of that interface */
	__u32 sequence;		/* while the server has not answered a cookie's SYN, that cookie; then what is added to its numbers */
	__u32 open_ticks;	/* the endpoint's */
	__u32 idle_ticks;
	__u32 closing_ticks;
	__u32 persists;		/* number of the service + 1 where it keeps clients at their server, else 0 */
};

/*
 * Full NAT: whose a port is, by a hash of the server's address and port, the director's port and the protocol: the
 * number of the flow's place from 1 on, or 0. Two connections that the server could not tell apart have the same hash,
 * so whoever writes his number first has the port.
 */
struct port_line {
	__u32 owner[LINE];
};

/* Where a first fragment went. */
struct fragment_to {
	__u32 index;	/* of servers; of a flow's place where BACK is set */
	__u32 check;	/* of that flow, whose place may be another's by now */
};

#define BACK 0x80000000

/* 2^27 ns, about 134 ms. */
#define TICK_SHIFT 27

/* An array's values lie a multiple of 8 bytes apart, which a reader by mmap relies on. */
_Static_assert(sizeof(struct vip) == 40, "vip");
_Static_assert(sizeof(struct server) == 128, "server");
_Static_assert(sizeof(struct load) == 24, "load");
_Static_assert(sizeof(struct service) == 64, "service");
_Static_assert(sizeof(struct quic_key) == 20, "quic_key");
_Static_assert(sizeof(struct aes_key) == 176, "aes_key");
_Static_assert(sizeof(struct flow) == 40, "flow");
_Static_assert(sizeof(struct bucket) == 352, "bucket");
_Static_assert(sizeof(struct origin) == 24, "origin");
_Static_assert(sizeof(struct service_note) == 104, "service_note");
_Static_assert(sizeof(struct server_note) == 104, "server_note");
_Static_assert(sizeof(struct traffic) == 40, "traffic");
_Static_assert(sizeof(struct trace_record) == 104, "trace_record");
_Static_assert(sizeof(struct tracing) == 24, "tracing");
_Static_assert(sizeof(struct way_back) == 64 && offsetof(struct way_back, cookie) == 41, "way_back");
