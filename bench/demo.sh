#!/bin/bash
# Our own captures through the whole pipeline into a scratch store, all times moved to now, and three questions to the
# result. Run from the repository's root, after `make engine build`; `make demo` does both. With KEEP=1 a collector then
# runs on what came in, with its page, until Ctrl-C.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
collector=$(dirname "$here")/bin/collector
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

export STORE_PATH=$scratch/data STORE_LISTEN=127.0.0.1:0 CACHE_DIR=$scratch/caches METADATA_DIR=$here/testdata/metadata
export SCIREG_HTTP_CONSUMER_URLS=$here/testdata/metadata/scireg.json LOG_LEVEL=warn

replay=()
for capture in "$here"/testdata/*.pcap; do replay+=(--pcap "$capture"); done
echo "== the captures of bench/testdata: one traffic, seen by seven exporters"
"$collector" run "${replay[@]}" --once --shift-to-now

ask() {
	echo
	echo "== $1"
	"$collector" query "$2"
}

ask "top source and destination AS by bits" "
	SELECT src_as_id, dictGetOrNull('meta_as_dict', 'name', src_as_id) AS src_as, dst_as_id,
		dictGetOrNull('meta_as_dict', 'name', dst_as_id) AS dst_as, formatReadableQuantity(sum(bit_count)) AS bits, count() AS flows
	FROM data_flow GROUP BY src_as_id, dst_as_id ORDER BY sum(bit_count) DESC LIMIT 8"

ask "top interfaces" "
	SELECT device_id, in_interface_id AS interface, in_interface_edge AS edge, formatReadableQuantity(sum(bit_count)) AS bits_in, sum(packet_count) AS packets
	FROM data_flow WHERE in_interface_id IS NOT NULL GROUP BY 1, 2, 3 ORDER BY sum(bit_count) DESC LIMIT 8"

ask "traffic by protocol" "
	SELECT flow_type, protocol, ip_version, formatReadableQuantity(sum(bit_count)) AS bits, sum(packet_count) AS packets, count() AS flows
	FROM data_flow GROUP BY 1, 2, 3 ORDER BY sum(bit_count) DESC LIMIT 12"

[ -n "${KEEP:-}" ] || exit 0

# A fixed port, so that the commands below can be copied.
export STORE_LISTEN=127.0.0.1:18123 HTTP_LISTEN=127.0.0.1:18080 LISTEN=127.0.0.1:12055 LOG_LEVEL=info
export SPOOL_PATH=$scratch/spool QUARANTINE_PATH=$scratch/quarantine
cat <<END

== a collector runs on this data until Ctrl-C; then all of it goes
   the page         http://$HTTP_LISTEN/
   the traffic      http://$HTTP_LISTEN/explore
   a question       STORE_PATH=$STORE_PATH STORE_LISTEN=$STORE_LISTEN bin/collector query "SELECT plainIP(src_ip), sum(bit_count) FROM data_flow GROUP BY 1 ORDER BY 2 DESC LIMIT 5"
   exporters, live  HTTP_LISTEN=$HTTP_LISTEN bin/collector top
   more flows       go run ./bench replay --rewrite --rate 500 --duration 30s --to $LISTEN bench/testdata/softflowd-v9.pcap
END
"$collector" run
