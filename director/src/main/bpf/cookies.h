/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * SYN cookies before servers whose addresses are translated (RFC 4987, section 3.6): a SYN costs no memory.
 *
 *	client			director			server
 *	SYN		->	nothing is remembered
 *			<-	SYN-ACK, a cookie for sequence number, window 0
 *	ACK		->	the cookie is right: remembered	->	SYN
 *			<-	ACK, which opens the window	<-	SYN-ACK
 *	data		->	acknowledgements differ by a constant, the other way sequence numbers do
 *
 * Each packet makes one packet. What is lost is sent again by those who sent it: the client asks about a closed window,
 * which makes the SYN again while the server has not answered. There are no options but the MSS.
 *
 * A cookie is a count of intervals (5 bits), the MSS (3 bits) and 24 bits of SipHash-2-4 over the addresses, the ports,
 * the client's sequence number, the count and the MSS.
 */
#pragma once

#include "kill.h"
#include "packet.h"

/* 2^36 ns, 69 s; a cookie is good for that of its interval and the next. */
#define COOKIE_SHIFT 36

static __always_inline bool cookies(const struct vip *vip)
{
	return has_nat && has_cookies && vip->flags & VIP_COOKIES;
}

static __always_inline __u16 cookie_mss(__u32 number)
{
	/* Of what paths have in common: the least that IPv4 and IPv6 promise, tunnels, PPPoE, Ethernet, jumbo frames. */
	return number == 0 ? 536 : number == 1 ? 1220 : number == 2 ? 1300 : number == 3 ? 1380 :
	       number == 4 ? 1420 : number == 5 ? 1440 : number == 6 ? 1460 : 8940;
}

static __always_inline __u64 rotated(__u64 value, __u32 by)
{
	return value << by | value >> (64 - by);
}

struct sip {
	__u64 a, b, c, d;
};

static __always_inline void sip_round(struct sip *v)
{
	v->a += v->b;
	v->b = rotated(v->b, 13) ^ v->a;
	v->a = rotated(v->a, 32);
	v->c += v->d;
	v->d = rotated(v->d, 16) ^ v->c;
	v->a += v->d;
	v->d = rotated(v->d, 21) ^ v->a;
	v->c += v->b;
	v->b = rotated(v->b, 17) ^ v->c;
	v->c = rotated(v->c, 32);
}

static __always_inline void sip_word(struct sip *v, __u64 word)
{
	v->d ^= word;
	sip_round(v);
	sip_round(v);
	v->a ^= word;
}

/* SipHash-2-4 (Aumasson and Bernstein) of six words. */
__noinline __u32 cookie_of(const struct packet *packet, __u32 sequence, __u32 count, __u32 mss)
{
	struct sip v = {
		cookie_key0 ^ 0x736f6d6570736575ULL, cookie_key1 ^ 0x646f72616e646f6dULL,
		cookie_key0 ^ 0x6c7967656e657261ULL, cookie_key1 ^ 0x7465646279746573ULL,
	};

	if (!packet)
		return 0;
	sip_word(&v, packet->source.high);
	sip_word(&v, packet->source.low);
	sip_word(&v, packet->destination.high);
	sip_word(&v, packet->destination.low);
	sip_word(&v, (__u64)sequence << 32 | (__u32)packet->source_port_be << 16 | packet->port_be);
	sip_word(&v, (__u64)count << 32 | mss);
	sip_word(&v, 48ULL << 56);
	v.c ^= 0xff;
	sip_round(&v);
	sip_round(&v);
	sip_round(&v);
	sip_round(&v);
	return (count & 31) << 27 | (mss & 7) << 24 | ((v.a ^ v.b ^ v.c ^ v.d) & 0xffffff);
}

static __always_inline __u32 cookie_count(void)
{
	return bpf_ktime_get_coarse_ns() >> COOKIE_SHIFT;
}

/*
 * Whether a packet acknowledges a cookie. Finds the client's first sequence number then, which a client that asks about
 * a closed window repeats.
 */
__noinline int proves(struct packet *packet)
{
	__u32 cookie, now, age, mss;

	if (!packet || !packet->plain)
		return 0;
	cookie = packet->acknowledged - 1;
	now = cookie_count();
	age = (now - (cookie >> 27)) & 31;
	mss = cookie >> 24 & 7;
	if (age > 1)
		return 0;
	if (cookie_of(packet, packet->sequence - 1, now - age, mss) == cookie)
		packet->sequence--;
	else if (cookie_of(packet, packet->sequence, now - age, mss) != cookie)
		return 0;
	packet->mss = mss;
	return 1;
}

/* The acknowledgement of a cookie opens the connection, as the SYN did that nobody remembers. */
static __always_inline bool opens(struct packet *packet)
{
	if (packet->does != GOES_ON || !proves(packet))
		return false;
	packet->proven = 1;
	packet->does = OPENS;
	return true;
}

/* What a segment is to a connection that is remembered. */
enum by_cookie {
	COOKIE_GOES_ON,
	COOKIE_ANEW,	/* it is of another, from the same port */
	COOKIE_EARLY,	/* the server has not answered yet */
};

/* Functions of their own, so that the verifier does not follow what comes after once for each way through them. */
__noinline int cookie_known(struct packet *packet, __u32 state)
{
	if (!packet)
		return COOKIE_GOES_ON;
	if (state == FLOW_COOKIE)
		return packet->does == OPENS ? COOKIE_ANEW : opens(packet) ? COOKIE_GOES_ON : COOKIE_EARLY;
	if (state != FLOW_CLOSING && state != FLOW_KILLED)
		return COOKIE_GOES_ON;
	return opens(packet) ? COOKIE_ANEW : COOKIE_GOES_ON;
}

/* What becomes of a segment of a connection that nobody remembers: MAYBE where it is to be given a server. */
__noinline __u32 cookie_unknown(struct packet *packet, __u32 which)
{
	struct service *service = bpf_map_lookup_elem(&services, &which);
	bool wanted;

	if (!packet || !service)
		return MAYBE;
	/* What is new has no number that would be another. */
	packet->acknowledges = 0;
	wanted = service->cookies != COOKIES_NEVER;
	if (packet->proven || opens(packet)) {
		count_in(which + 1, SYN_PROVEN);
		return MAYBE;
	}
	if (packet->does > OPENS || !wanted)
		return MAYBE;
	if (packet->does == OPENS) {
		count_in(which + 1, SYN_GREETED);
		return GREETED;
	}
	count_in(which + 1, PASS_NO_FLOW);
	return NOWHERE;
}
