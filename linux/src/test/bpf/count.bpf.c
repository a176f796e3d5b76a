// The program that the tests of io.ballast.linux.bpf load: it counts packets and does what a map says.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define DEFAULT_ENTRIES 16

const volatile __u32 limit = 5;
const volatile __u64 wide = 7;
const volatile __u8 flag;

__u64 seen; // .bss: memory that user space can map

struct total {
    __u64 packets;
    __u32 last_length; // the value is 12 bytes wide, so per-CPU copies are 16 apart
} __attribute__((packed));

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, DEFAULT_ENTRIES);
    __type(key, __u64);
    __type(value, __u64);
} table SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct total);
} totals SEC(".maps");

struct inner {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_INNER_MAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 2);
    __type(key, __u32);
    __array(values, struct inner);
} rings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

struct event {
    __u64 number;
    __u32 ifindex;
    __u32 length;
};

/* settings[0] is the verdict, settings[1] whether to write events. */
SEC("xdp")
int count(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    __u32 zero = 0, one = 1;

    __u64 number = __sync_fetch_and_add(&seen, 1);
    struct total *total = bpf_map_lookup_elem(&totals, &one);
    if (total) {
        total->packets += wide;
        total->last_length = end - data;
    }
    __u64 *writes = bpf_map_lookup_elem(&settings, &one);
    if (writes && *writes) {
        struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
        if (event) {
            event->number = number;
            event->ifindex = ctx->ingress_ifindex;
            event->length = end - data;
            if (flag && number % 2)
                bpf_ringbuf_discard(event, 0);
            else
                bpf_ringbuf_submit(event, 0);
        }
    }
    if (data + 14 > end)
        return XDP_ABORTED;
    *(__u8 *)data = limit;
    __u64 *verdict = bpf_map_lookup_elem(&settings, &zero);
    return verdict ? (int)*verdict : XDP_ABORTED;
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
    (void)ctx;
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
