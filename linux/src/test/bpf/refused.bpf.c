// A program that the verifier must refuse: it reads the packet without asking how long it is.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int careless(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;

    return *(__u8 *)(data + 23);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
