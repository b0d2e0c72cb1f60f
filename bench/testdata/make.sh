#!/bin/bash
# Makes the captures in this folder anew: real exporters (Debian packages softflowd and pmacct) read the traffic that
# `bench traffic` writes, and tcpdump records what they send. Everything happens in a network namespace of its own, so
# that each exporter has an address of its own and nothing leaves the machine. Run as root from the repository's root:
#   bench/testdata/make.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
	for tool in softflowd pmacctd tcpdump ip; do
		command -v "$tool" >/dev/null || { echo "make.sh: $tool is missing: apt-get install softflowd pmacct tcpdump iproute2" >&2; exit 1; }
	done
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	(cd "$here/../.." && go run ./bench traffic -o "$work/traffic.pcap")
	unshare --net --pid --fork --mount-proc bash "$here/make.sh" inside "$work"
	exit
fi

work=$2
collector=192.0.2.1
ip link set lo up
ip addr add $collector/32 dev lo
cat > "$work/networks" <<'EOF'
64496,198.18.0.0/20
64497,198.18.16.0/20
64498,198.18.32.0/20
64499,198.18.48.0/20
64500,198.18.64.0/20
64501,198.18.80.0/20
64496,2001:db8:1::/48
64497,2001:db8:2::/48
64498,2001:db8:3::/48
64499,2001:db8:4::/48
64500,2001:db8:5::/48
64501,2001:db8:6::/48
EOF

# record NAME EXPORTER PORT COMMAND...: what COMMAND sends from EXPORTER to the collector's PORT becomes NAME.pcap.
record() {
	local name=$1 exporter=$2 port=$3
	shift 3
	ip addr add "$exporter/32" dev lo
	ip route replace local $collector dev lo src "$exporter" table local
	: > "$work/tcpdump.log"
	tcpdump -Z root -i lo -U -w "$work/$name.pcap" "udp dst port $port" 2>"$work/tcpdump.log" &
	local dump=$!
	until grep -q 'listening on' "$work/tcpdump.log"; do sleep 0.1; done
	"$@" >"$work/$name.log" 2>&1 || { cat "$work/$name.log" >&2; exit 1; }
	sleep 1
	kill $dump
	wait $dump || true
	cp "$work/$name.pcap" "$here/$name.pcap"
	echo "$name.pcap: $(tcpdump -nr "$here/$name.pcap" 2>/dev/null | wc -l) datagrams"
}

# flowd NAME EXPORTER VERSION OPTION...: a capture of softflowd's.
flowd() {
	local name=$1 exporter=$2 version=$3
	shift 3
	record "$name" "$exporter" 2055 softflowd -d -a -6 -v "$version" "$@" -n $collector:2055 \
		-p "$work/softflowd.pid" -c "$work/softflowd.ctl" -r "$work/traffic.pcap"
}

# probe NAME EXPORTER PORT CONFIG: a capture of a pmacctd plugin's.
probe() {
	printf 'daemonize: false\npcap_savefile: %s\nnetworks_file: %s\npmacctd_as: file\n%s\n' \
		"$work/traffic.pcap" "$work/networks" "$4" > "$work/$1.conf"
	record "$1" "$2" "$3" timeout --preserve-status -s INT 20 pmacctd -f "$work/$1.conf"
}

flowd softflowd-v5 198.51.100.11 5
flowd softflowd-v9 198.51.100.12 9 -T vlan
flowd softflowd-ipfix 198.51.100.13 10 -A milli -T ether
flowd softflowd-sampled 198.51.100.14 9 -s 10
probe nfprobe-v9 198.51.100.21 2055 "plugins: nfprobe[p]
aggregate: src_host, dst_host, src_port, dst_port, proto, tos, src_as, dst_as, src_net, dst_net, in_iface, out_iface, vlan
nfprobe_version: 9
nfprobe_receiver: $collector:2055
nfprobe_ifindex[p]: 7
nfprobe_direction[p]: in
nfprobe_engine: 1"
probe nfprobe-ipfix 198.51.100.22 4739 "plugins: nfprobe[p]
aggregate: src_host, dst_host, src_port, dst_port, proto, tos, src_as, dst_as, tcpflags, vlan, src_mac, dst_mac
nfprobe_version: 10
nfprobe_receiver: $collector:4739
nfprobe_ifindex[p]: 7
nfprobe_direction[p]: in"
probe sfprobe 198.51.100.31 6343 "plugins: sfprobe[p]
aggregate: src_host, dst_host, src_port, dst_port, proto, src_as, dst_as
sampling_rate: 8
sfprobe_receiver: $collector:6343
sfprobe_agentip: 198.51.100.31
sfprobe_ifindex[p]: 3
sfprobe_direction[p]: in"
