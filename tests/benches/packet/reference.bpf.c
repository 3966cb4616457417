// SPDX-License-Identifier: MIT
//
// What banner's program is measured beside: a filter with the same parts (a table of ports, a hash of banned sources that counts
// packets, bytes and the last one, counters for each CPU) as one would write it at first, in plain C. A ban ends at a time since boot,
// so a hit reads that clock. Tags, options and extension headers are stepped over, up to a few.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

// What libbpf's bpf_helpers.h has of these, so that the headers of the kernel are enough.
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static __u64 (*bpf_ktime_get_boot_ns)(void) = (void *)BPF_FUNC_ktime_get_boot_ns;
#define be16(value) __builtin_bswap16(value)

#define TAGS_MAX 2
#define EXTENSIONS_MAX 4

struct ban {
	__u64 until;
	__u64 packets;
	__u64 bytes;
	__u64 last_seen;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u8);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct ban);
} bans_v4 SEC(".maps");

// By /64.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct ban);
} bans_v6 SEC(".maps");

// Passed, dropped.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

struct tag {
	__be16 control;
	__be16 type;
};

struct extension {
	__u8 next;
	__u8 length;
	__u8 rest[6];
};

static __attribute__((always_inline)) int count(__u32 what, int action)
{
	__u64 *counter = bpf_map_lookup_elem(&packets, &what);

	if (counter)
		++*counter;
	return action;
}

SEC("xdp")
int reference(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	void *header = ethernet + 1;
	struct ban *ban;
	__u64 upper = 0;
	__u32 source = 0, port;
	struct tcphdr *tcp;
	__u8 *guarded;
	__be16 type;
	__u64 now;

	if (header > end)
		return XDP_PASS;
	type = ethernet->h_proto;
#pragma unroll
	for (int i = 0; i < TAGS_MAX; i++) {
		struct tag *tag = header;

		if (type != be16(ETH_P_8021Q) && type != be16(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return XDP_PASS;
		type = tag->type;
		header = tag + 1;
	}

	if (type == be16(ETH_P_IP)) {
		struct iphdr *ip = header;

		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP || ip->frag_off & be16(0x1fff))
			return XDP_PASS;
		source = ip->saddr;
		header += ip->ihl * 4;
	} else if (type == be16(ETH_P_IPV6)) {
		struct ipv6hdr *ip = header;
		__u8 next;

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		upper = (__u64)ip->saddr.s6_addr32[1] << 32 | ip->saddr.s6_addr32[0];
		next = ip->nexthdr;
		header = ip + 1;
#pragma unroll
		for (int i = 0; i < EXTENSIONS_MAX; i++) {
			struct extension *extension = header;

			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
				break;
			if ((void *)(extension + 1) > end)
				return XDP_PASS;
			next = extension->next;
			header += (extension->length + 1) * 8;
		}
		if (next != IPPROTO_TCP)
			return XDP_PASS;
	} else {
		return XDP_PASS;
	}

	tcp = header;
	if ((void *)(tcp + 1) > end)
		return XDP_PASS;
	port = be16(tcp->dest);
	guarded = bpf_map_lookup_elem(&ports, &port);
	if (!guarded || !*guarded)
		return XDP_PASS;

	if (type == be16(ETH_P_IP))
		ban = bpf_map_lookup_elem(&bans_v4, &source);
	else
		ban = bpf_map_lookup_elem(&bans_v6, &upper);
	if (!ban)
		return count(0, XDP_PASS);
	now = bpf_ktime_get_boot_ns();
	if (now >= ban->until)
		return count(0, XDP_PASS);
	__sync_fetch_and_add(&ban->packets, 1);
	__sync_fetch_and_add(&ban->bytes, end - data);
	ban->last_seen = now;
	return count(1, XDP_DROP);
}

char _license[] SEC("license") = "Dual MIT/GPL";
