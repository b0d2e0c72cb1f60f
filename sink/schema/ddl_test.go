package schema

import (
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/golden"
)

// TestGoldenDDL compares every statement of two settings with testdata, byte for byte and without an engine: the golden
// settings, and metadata tables under other names on a cluster of shards, with volumes and with extensions of
// interfaces.
func TestGoldenDDL(t *testing.T) {
	cluster := Default()
	cluster.Cluster, cluster.Replication.Enabled, cluster.Distributed = "all shards", true, true
	cluster.MetadataTTL, cluster.ASExtensions = "2 YEAR", []string{"peeringdb"}
	cluster.InterfaceExtensions = []string{"sap", "vrtr", "vrtr_interface"}
	cluster.StoragePolicy = "tiered"
	cluster.FlowTTL.Interval = "2 DAY TO VOLUME 'cold', start_time + INTERVAL 30 DAY"
	cluster.Tables.Device, cluster.Tables.SciReg, cluster.Tables.Application = "routers", "registry", "applications"
	for name, s := range map[string]Settings{"ddl": goldenSettings(), "ddl-cluster": cluster} {
		statements, err := Statements(s)
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, s.CreateExtensionTable("blocklist"))
		got := strings.Join(statements, ";\n\n") + ";\n"
		golden.File(t, name+".sql", []byte(got))
	}
}
