package service

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/golden"
	"github.com/metranova/flow-collector/sink/message"
)

// messagesOf takes a capture through the decoder and the enricher, with no metadata, and returns a message for each
// record.
func messagesOf(t *testing.T, path string, f message.Format) []string {
	t.Helper()
	snapshot, _ := enrich.NewBuilder().Build()
	enricher := enrich.New(enrich.Options{})
	encoder := message.NewEncoder(f, message.NoKey,
		message.Layout{CollectorID: "oracle-collector", PolicyLevel: "tlp:amber"})
	var messages message.Batch
	var row enrich.Row
	batch := flow.NewBatch(func(records []flow.Record) {
		for i := range records {
			enricher.Enrich(snapshot, &records[i], &row)
			encoder.Append(&messages, &row)
		}
	})
	d := decoder.New(decoder.Options{})
	if _, err := capture.ReadAll([]string{path}, func(dg exporter.Datagram) {
		d.Decode(&dg, batch)
		d.Tick(dg.Received, batch)
	}); err != nil {
		t.Fatal(err)
	}
	texts := make([]string, messages.Len())
	for i := range texts {
		texts[i] = string(messages.Message(i))
	}
	return texts
}

// Every capture of the reference gives the messages that pmacct made of it, key for key and in its order, but for what
// it cannot decode, cuts or merges (Q8, Q11, Q28 to Q30 of the reference's semantics), and the time at which they came.
func TestGoldenPmacctMessages(t *testing.T) {
	dir := golden.Reference(t, "golden")
	captures, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures in %s: %v", dir, err)
	}
	for _, path := range captures {
		name := strings.TrimSuffix(filepath.Base(path), ".pcap")
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join(dir, name+".pmacct.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			want := summedMessages(t, strings.Split(strings.TrimSpace(string(file)), "\n"),
				func(m map[string]any) { correctMessage(name, m) })
			got := summedMessages(t, messagesOf(t, path, message.PmacctJSON), func(map[string]any) {})
			compareMessages(t, name, want, got)
		})
	}
}

// messageSums are messages that pmacct merges into one: their counters, and the times of each.
type messageSums struct {
	packets, bytes float64
	times          [][2]float64 // start and end in seconds
}

// summedMessages are messages by all of their keys, in their order, and values but for times and counters.
func summedMessages(t *testing.T, lines []string, fix func(map[string]any)) map[string]*messageSums {
	t.Helper()
	all := map[string]*messageSums{}
	for _, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		fix(m)
		key := strings.Join(keysInOrder(t, line), " ")
		sums := messageSums{times: [][2]float64{{seconds(t, m, "timestamp_start"), seconds(t, m, "timestamp_end")}}}
		sums.packets, _ = m["packets"].(float64)
		sums.bytes, _ = m["bytes"].(float64)
		seconds(t, m, "timestamp_arrival")
		for _, k := range []string{"packets", "bytes", "timestamp_start", "timestamp_end", "timestamp_arrival"} {
			delete(m, k)
		}
		values, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		key += string(values)
		if all[key] == nil {
			all[key] = new(messageSums)
		}
		all[key].packets += sums.packets
		all[key].bytes += sums.bytes
		all[key].times = append(all[key].times, sums.times...)
	}
	return all
}

// keysInOrder are the keys of an object of plain values.
func keysInOrder(t *testing.T, line string) (keys []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	for n := 0; ; n++ {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		if key, ok := token.(string); ok && n%2 == 1 {
			keys = append(keys, key)
		}
	}
}

var microseconds = regexp.MustCompile(`^[0-9]+\.[0-9]{6}$`)

// seconds reads a message's time, 0 if it has none under that key.
func seconds(t *testing.T, m map[string]any, key string) float64 {
	t.Helper()
	if m[key] == nil {
		return 0
	}
	text, _ := m[key].(string)
	if !microseconds.MatchString(text) {
		t.Errorf("%s is %v", key, m[key])
	}
	value, _ := strconv.ParseFloat(text, 64)
	return value
}

// correctMessage gives a message of pmacct the values that it should have.
func correctMessage(name string, m map[string]any) {
	class, found := trafficClass[name] // Q11
	if six := strings.Contains(m["ip_src"].(string), ":"); found && six && m["tos"] == float64(int(class)>>4) {
		m["tos"] = class
	}
	if name == "synth-sflow" && m["port_dst"] == 2.0 { // an IPv6 next hop of an IPv4 flow
		m["peer_ip_dst"] = "2001:db8::9"
	}
}

// extraMessages are those of records that pmacct does not decode (see legitimateExtra).
var extraMessages = map[string]int{"ipfix-probe": 2, "synth-sflow": 1}

func compareMessages(t *testing.T, name string, want, got map[string]*messageSums) {
	t.Helper()
	extra := 0
	for key, g := range got {
		w := want[key]
		if w == nil {
			if extra++; extra > extraMessages[name] {
				t.Errorf("not one of pmacct's:\n%s", key)
			}
			continue
		}
		if g.packets != w.packets || g.bytes != w.bytes {
			t.Errorf("packets and bytes %v and %v, want %v and %v of\n%s", g.packets, g.bytes, w.packets, w.bytes, key)
		}
		for _, at := range w.times {
			near := slices.ContainsFunc(g.times, func(x [2]float64) bool { // pmacct cuts to seconds
				return math.Abs(x[0]-at[0]) < 1 && math.Abs(x[1]-at[1]) < 1
			})
			if !near && !slices.Contains(wrongTimes, name) {
				t.Errorf("times %v, want %v of\n%s", g.times, at, key)
			}
		}
	}
	for key := range want {
		if got[key] == nil {
			t.Errorf("missing:\n%s", key)
		}
	}
}

// The first messages of captures of our own.
func TestMessages(t *testing.T) {
	for _, format := range []message.Format{message.PmacctJSON, message.JSON} {
		t.Run(format.String(), func(t *testing.T) {
			var got strings.Builder
			for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "softflowd-sampled",
				"nfprobe-v9", "sfprobe"} {
				for _, m := range messagesOf(t, testkit.OwnCapture(t, name), format)[:3] {
					got.WriteString(m + "\n")
				}
			}
			golden.File(t, "messages-"+format.String()+".jsonl", []byte(got.String()))
		})
	}
}
