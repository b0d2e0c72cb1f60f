package compare

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// A real broker has every flow that was sent as a message, of each format; the topics are made on the way. Runs with
// `make test-kafka`.
func TestBroker_compare(t *testing.T) {
	broker := kafkatest.Start(t)
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no engine for the local store: run `make engine`")
	}
	program := filepath.Join(t.TempDir(), "collector")
	if out, err := exec.Command("go", "build", "-o", program, "../../collector").CombinedOutput(); err != nil {
		t.Fatalf("build the collector: %v\n%s", err, out)
	}
	setting := Setting{Collector: program, Engine: engine, Broker: broker.Plaintext}
	rows, err := All(context.Background(), []Contender{setting.producing("pmacct-json"), setting.producing("protobuf")},
		options(t, 5000))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if m := r.Median; r.Failed != "" || m.Drops > 0 || m.Flows == 0 || m.Records != uint64(m.Flows) {
			t.Errorf("%s: %s %+v, want all flows as messages", r.Name, r.Failed, m)
		}
	}
}
