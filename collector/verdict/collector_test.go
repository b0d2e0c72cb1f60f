package verdict

import (
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink"
)

// goodCollector is one with which all is well.
func goodCollector() *Collector {
	return &Collector{
		Now: noon, Started: noon.Add(-time.Hour), TablesMade: true, MetadataLoaded: true, Devices: 3,
		Sinks: []Sink{{Info: sink.Info{Name: "clickhouse", Title: "ClickHouse", Unit: "rows"}, Spool: "spool",
			SpoolMax: 1000}},
		Streams: 2, Window: time.Minute, Recent: CollectorCounts{Received: 988, Rows: 1000},
	}
}

type collectorTest struct {
	name, code string
	change     func(*Collector)
	severity   Severity
	text       string
}

func collectorTests() []collectorTest {
	return []collectorTest{
		{"no tables", "no_tables", func(c *Collector) { c.TablesMade = false }, Problem,
			"the tables are not made yet, and rows wait"},
		{"no tables, as the server is down", "no_tables", func(c *Collector) {
			c.TablesMade, c.TablesError = false, "dial tcp 127.0.0.1:9: connect: connection refused"
		}, Problem, "the tables are not made yet, and rows wait: dial tcp 127.0.0.1:9: connect: connection refused"},
		{"tables", "no_tables", func(c *Collector) { c.Sinks[0].Down = "refused" }, 0, ""},
		{"server down", "store_down", func(c *Collector) { c.Sinks[0].Down = "connection refused" }, Problem,
			"ClickHouse takes no rows: connection refused"},
		{"the local store died", "store_restarted", func(c *Collector) {
			c.StoreRestarts, c.StoreEnded, c.StoreEnd = 2, c.Now.Add(-time.Minute), "signal: killed"
		}, Warning,
			"the local store ended by itself and was started again, 2 times so far, the last at 2026-03-05 11:59:00: " +
				"signal: killed"},
		{"the local store died long ago", "store_restarted", func(c *Collector) {
			c.StoreRestarts, c.StoreEnded, c.StoreEnd = 2, c.Now.Add(-25*time.Hour), "signal: killed"
		}, 0, ""},
		{"Kafka takes nothing", "kafka_down", func(c *Collector) {
			c.Sinks = append(c.Sinks, Sink{Info: sink.Info{Name: "kafka", Title: "Kafka", Unit: "messages"},
				Down: "NOT_ENOUGH_REPLICAS"})
		}, Problem, "Kafka takes no messages: NOT_ENOUGH_REPLICAS"},
		{"no Kafka", "kafka_down", func(c *Collector) { c.Sinks[0].Down = "refused" }, 0, ""},
		{"one attempt to make tables failed", "store_down", func(c *Collector) { c.TablesError = "timeout" }, 0, ""},
		{"spool nearly full", "spool", func(c *Collector) { c.Sinks[0].SpoolRows, c.Sinks[0].SpoolBytes = 7, 950 },
			Problem,
			"the spool is 95 % full: 7 rows on disk"},
		{"spool half full", "spool", func(c *Collector) { c.Sinks[0].SpoolRows, c.Sinks[0].SpoolBytes = 7, 500 },
			Warning,
			"the spool is 50 % full: 7 rows on disk"},
		{"some in the spool", "spool", func(c *Collector) { c.Sinks[0].SpoolRows, c.Sinks[0].SpoolBytes = 1, 15 }, Note,
			"the spool is 1.5 % full: 1 row on disk"},
		{"Kafka spool", "spool", func(c *Collector) {
			c.Sinks = append(c.Sinks, Sink{Info: sink.Info{Name: "kafka", Unit: "messages"}, Spool: "Kafka spool",
				SpoolBytes: 91, SpoolMax: 100, SpoolRows: 2})
		}, Problem, "the Kafka spool is 91 % full: 2 messages on disk"},
		{"spool empty", "spool", func(c *Collector) { c.Sinks[0].SpoolBytes = 950 }, 0, ""},
		{"store's clock ahead", "store_clock", func(c *Collector) { c.StoreClock = 3 * time.Minute }, Warning,
			"the store's clock is 3 minutes ahead of ours"},
		{"store's clock behind", "store_clock", func(c *Collector) { c.StoreClock = -6 * time.Second }, Warning,
			"the store's clock is 6 seconds behind ours"},
		{"store's clock right", "store_clock", func(c *Collector) { c.StoreClock = time.Second }, 0, ""},
		{"kernel drops, small buffer", "kernel_drops",
			func(c *Collector) { c.Recent.KernelDrops, c.ShortBuffer = 12, true }, Problem,
			"kernel dropped 1.2 % (12 datagrams in the last minute): the receive buffer is smaller than " +
				"listen.receive_buffer"},
		{"kernel drops, large buffer", "kernel_drops", func(c *Collector) { c.Recent.KernelDrops = 1 }, Warning,
			"kernel dropped 0.10 % (1 datagram in the last minute): the workers were too slow"},
		{"no kernel drops", "kernel_drops", func(c *Collector) { c.ShortBuffer = true }, 0, ""},
		{"overload", "overload", func(c *Collector) {
			c.Recent.OverShare, c.Largest = 3,
				netip.MustParseAddr("192.0.2.8")
		}, Warning,
			"the collector was behind: 3 datagrams dropped in the last minute, of sources that took more than their " +
				"share, most of them of 192.0.2.8"},
		{"overload of unknown sources", "overload", func(c *Collector) { c.Recent.OverShare = 1 }, Warning,
			"the collector was behind: 1 datagram dropped in the last minute, of sources that took more than their " +
				"share"},
		{"no overload any more", "overload", func(c *Collector) { c.Largest = netip.MustParseAddr("192.0.2.8") }, 0,
			""},
		{"refused", "refused", func(c *Collector) { c.Recent.Refused = 3 }, Note,
			"3 datagrams of exporters that may not send, in the last minute"},
		{"none refused", "refused", func(c *Collector) { c.Recent.KernelDrops = 3 }, 0, ""},
		{"connections", "connections", func(c *Collector) {
			c.Recent.Connections = map[string]uint64{"slow": 1, "cut": 2, "not_ipfix": 0}
		}, Warning, "3 connections refused or closed in the last minute: 2 × cut, 1 × slow"},
		{"no connections", "connections", func(c *Collector) {
			c.Recent.Connections = map[string]uint64{"slow": 0}
		}, 0, ""},
		{"another protocol", "unknown_version",
			func(c *Collector) { c.Recent.Unattributed[exporter.UnknownVersion] = 3 }, Warning,
			"3 datagrams of no protocol that we know, in the last minute"},
		{"known protocols", "unknown_version", func(c *Collector) { c.Recent.Unattributed[exporter.Truncated] = 3 }, 0,
			""},
		{"cut headers", "truncated", func(c *Collector) { c.Recent.Unattributed[exporter.Truncated] = 1 }, Warning,
			"1 datagram too short for a header, in the last minute"},
		{"whole headers", "truncated", func(c *Collector) { c.Recent.Unattributed[exporter.UnknownVersion] = 1 }, 0,
			""},
		{"more exporters than are kept", "evicted", func(c *Collector) { c.Recent.Evicted = 256 }, Warning,
			"256 streams evicted in the last minute: more exporters than are kept"},
		{"room for all", "evicted", func(c *Collector) { c.Streams = 4096 }, 0, ""},
		{"rows lost", "rows_lost",
			func(c *Collector) { c.Recent.Lost = map[string]uint64{"queue_full": 50_000, "rejected": 0} }, Problem,
			"50,000 rows lost in the last minute: queue_full"},
		{"no rows lost", "rows_lost", func(c *Collector) { c.Recent.Lost = map[string]uint64{"queue_full": 0} }, 0, ""},
		{"rows refused", "quarantine", func(c *Collector) { c.Recent.Quarantined = 5 }, Warning,
			"ClickHouse refuses 5 rows of the last minute, which are kept"},
		{"rows lost, not refused", "quarantine",
			func(c *Collector) { c.Recent.Lost = map[string]uint64{"rejected": 1} }, 0, ""},
		{"rows too old", "rows_expired", func(c *Collector) { c.Recent.Expired = 500 }, Warning,
			"50 % of the rows are older than the table's TTL, which drops them"},
		{"rows of today", "rows_expired", func(c *Collector) { c.Recent.Rows = 0 }, 0, ""},
		{"metadata with a problem", "metadata", func(c *Collector) { c.Metadata = []string{"caida: HTTP 500"} },
			Warning, "metadata: caida: HTTP 500"},
		{"metadata without one", "metadata", func(c *Collector) { c.MetadataLoaded = false }, 0, ""},
		{"metadata not loaded", "no_metadata", func(c *Collector) { c.MetadataLoaded = false }, Problem,
			"the metadata is not loaded yet: rows are written with the metadata of the last run"},
		{"metadata without devices", "no_metadata", func(c *Collector) { c.Devices = 0 }, 0, ""},
		{"no devices", "no_devices", func(c *Collector) { c.Devices = 0 }, Note,
			"meta_device is empty: rows have the exporter's address as the device"},
		{"a device", "no_devices", func(c *Collector) { c.Devices = 1 }, 0, ""},
		{"a configuration that is wrong", "configuration",
			func(c *Collector) { c.Refused = []string{"collector.yml:3: batch.rows: \"x\": is not a whole number"} },
			Warning,
			`the configuration was changed and is refused: collector.yml:3: batch.rows: "x": is not a whole number`},
		{"a configuration that is right", "configuration", func(c *Collector) { c.Pending = []string{"batch.rows"} }, 0,
			""},
		{"settings that need a restart", "restart_needed",
			func(c *Collector) { c.Pending = []string{"batch.rows", "listen.workers"} },
			Note, "changed, but not in use before a restart: batch.rows, listen.workers"},
		{"all settings in use", "restart_needed", func(c *Collector) { c.Refused = []string{"x"} }, 0, ""},
		{"nobody sends", "no_exporter", func(c *Collector) { c.Streams = 0 }, Warning, "no exporter was heard yet"},
		{"has just begun", "no_exporter", func(c *Collector) { c.Streams, c.Started = 0, noon }, 0, ""},
	}
}

func TestOfCollector(t *testing.T) {
	if all := OfCollector(goodCollector()); len(all) != 0 {
		t.Errorf("of a collector with which all is well: %v", all)
	}
	for _, test := range collectorTests() {
		t.Run(test.code+"/"+test.name, func(t *testing.T) {
			c := goodCollector()
			test.change(c)
			expect(t, OfCollector(c), test.code, test.severity, test.text)
		})
	}
}
