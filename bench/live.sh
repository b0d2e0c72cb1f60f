#!/bin/bash
# Live exporters against a collector: softflowd (NetFlow v5, v9, IPFIX) and pmacctd's sfprobe watch a minute of
# traffic, and what they say they exported is printed beside what the collector has. Everything happens in a network
# namespace of its own. Run as root from the repository's root, after `make engine build`:
#   bench/live.sh [SECONDS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
	for tool in softflowd softflowctl pmacctd tcpdump ip; do
		command -v "$tool" >/dev/null || { echo "live.sh: $tool is missing: apt-get install softflowd pmacct tcpdump iproute2" >&2; exit 1; }
	done
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	(cd "$here/.." && go build -o "$work/bench" ./bench)
	unshare --net --pid --fork --mount-proc bash "$here/live.sh" inside "$work" "${1:-60}"
	exit
fi

work=$2 seconds=$3
collector=$here/../bin/collector
ip link set lo up
ip route add local 198.18.0.0/15 dev lo
for site in 1 2 3 4 5 6; do
	for host in 1 2 3 4 5 6 7 8; do ip -6 addr add 2001:db8:$site::$host/128 dev lo nodad; done
done
for address in 192.0.2.1 198.51.100.11 198.51.100.12 198.51.100.13 198.51.100.31; do ip addr add $address/32 dev lo; done

export STORE_PATH=$work/data CACHE_DIR=$work/caches SPOOL_PATH=$work/spool QUARANTINE_PATH=$work/quarantine METADATA_DIR=$here/testdata/metadata LISTEN=192.0.2.1:2055
"$collector" run 2>"$work/collector.log" &
running=$!
until grep -q listening "$work/collector.log"; do sleep 0.2; done

# Each exporter sends from an address of its own: the route's source at the time when it opens its socket.
exporter() { ip route replace local 192.0.2.1 dev lo src "$1" table local; }
watched='net 198.18.0.0/15 or net 2001:db8::/32'
for version in 5:11 9:12 10:13; do
	exporter 198.51.100.${version#*:}
	name=v${version%:*}
	softflowd -i lo -v ${version%:*} -n 192.0.2.1:2055 -t maxlife=20 -t general=10 -t tcp=10 -t udp=10 -t expint=2 \
		-p "$work/$name.pid" -c "$work/$name.ctl" "$watched"
	sleep 0.5
done
exporter 198.51.100.31
cat > "$work/sfprobe.conf" <<EOF
daemonize: false
pcap_interface: lo
pcap_filter: $watched
plugins: sfprobe[p]
sampling_rate: 1
sfprobe_receiver: 192.0.2.1:2055
sfprobe_agentip: 198.51.100.31
EOF
pmacctd -f "$work/sfprobe.conf" >"$work/sfprobe.log" 2>&1 &
sfprobe=$!
tcpdump -Z root -i lo -U -w "$work/sfprobe.pcap" 'src 198.51.100.31 and udp dst port 2055' 2>"$work/tcpdump.log" &
dump=$!
tcpdump -Z root -i lo -U -w "$work/watched.pcap" "$watched" 2>"$work/watched.log" &
watch=$!
sleep 2

echo "== $seconds s of traffic"
"$work/bench" talk --for "${seconds}s"
sleep 3
for name in v5 v9 v10; do
	softflowctl -c "$work/$name.ctl" expire-all >/dev/null
	sleep 1
	echo "== softflowd $name says"
	softflowctl -c "$work/$name.ctl" statistics | grep -E 'Flows exported|Packets processed|flow export'
	softflowctl -c "$work/$name.ctl" shutdown >/dev/null
done
kill -INT $sfprobe
wait $sfprobe || true
sleep 4
kill $dump $watch
wait $dump $watch || true
echo "== packets that were there to see"
tcpdump -nr "$work/watched.pcap" 2>/dev/null | wc -l
echo "== sFlow samples on the wire, by another decoder's count of datagrams and ours of samples"
tcpdump -nr "$work/sfprobe.pcap" 2>/dev/null | wc -l
"$collector" decode "$work/sfprobe.pcap" | wc -l
echo "== the collector has"
"$collector" query "SELECT device_id, flow_type, any(sampling_source) AS sampling, count() AS flows, sum(packet_count) AS packets, formatReadableSize(sum(bit_count) / 8) AS bytes FROM data_flow GROUP BY 1, 2 ORDER BY 1"
kill -TERM $running
wait $running
tail -12 "$work/collector.log"
