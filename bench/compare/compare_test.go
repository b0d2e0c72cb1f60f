package compare

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/bench/replay"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// TestMain is also a collector that the tests start: it counts datagrams, slowly if it is told to, and works for each.
func TestMain(m *testing.M) {
	if address := os.Getenv("TEST_COLLECTOR"); address != "" {
		collectForTest(address, os.Getenv("TEST_SLOW") != "")
		return
	}
	os.Exit(m.Run())
}

// testBuffer holds some 100 datagrams of 10 flows of NetFlow v5, by the kernel's way of counting.
const testBuffer = 1 << 16

func collectForTest(address string, slow bool) {
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		panic(err)
	}
	_ = conn.(*net.UDPConn).SetReadBuffer(testBuffer)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT)
	go func() {
		<-signals
		_ = conn.SetReadDeadline(time.Now())
	}()
	var count Count
	for buffer := make([]byte, 1<<16); ; count.Datagrams++ {
		if _, _, err := conn.ReadFrom(buffer); err != nil {
			break
		}
		if slow {
			time.Sleep(5 * time.Millisecond)
		}
	}
	count.Records = count.Datagrams * 10
	_ = json.NewEncoder(os.Stdout).Encode(count)
}

func options(t *testing.T, flows int) Options {
	t.Helper()
	c := replay.NewCapture()
	o := gen.Options{Protocol: flow.NetFlowV5, Flows: flows, PerDatagram: 10, Start: time.Now()}
	if err := gen.Each(o, func(d exporter.Datagram) error { c.Add(d); return nil }); err != nil {
		t.Fatal(err)
	}
	return Options{Capture: c, Protocol: flow.NetFlowV5, Rates: []float64{5000}, Duration: 400 * time.Millisecond,
		Runs: 1}
}

func fake(name string, environment ...string) Contender {
	return Contender{
		Name: name, Program: os.Args[0], Count: countOurs,
		Command: func(_ string, port uint16, _ flow.Protocol) (*exec.Cmd, error) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(append(os.Environ(), "TEST_COLLECTOR="+loopback(port)), environment...)
			return cmd, nil
		},
	}
}

func TestAll(t *testing.T) {
	o := options(t, 1000)
	o.Rates = []float64{2000, 20_000}
	broken := fake("broken")
	broken.Command = func(string, uint16, flow.Protocol) (*exec.Cmd, error) {
		return exec.Command("sh", "-c", "echo no such thing; exit 1"), nil
	}
	rows, err := All(context.Background(), []Contender{fake("quick"), fake("slow", "TEST_SLOW=1"), broken}, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 6 {
		t.Fatalf("%d rows, want 6", len(rows))
	}
	for i, name := range []string{"quick", "slow", "broken", "quick", "slow", "broken"} {
		if rows[i].Name != name || rows[i].Asked != o.Rates[i/3] {
			t.Errorf("row %d is %s at %.0f", i, rows[i].Name, rows[i].Asked)
		}
	}
	// At the first rate all datagrams fit into the socket's buffer, so that a busy machine loses none of them either.
	if quick := rows[0].Median; quick.Sent == 0 || quick.Drops != 0 || quick.Records != uint64(quick.Flows) ||
		quick.LostShare != 0 {
		t.Errorf("quick: %+v, want all of it", quick)
	}
	// At the second rate a busy machine may lose some. What is lost is said.
	quick, slow := rows[3].Median, rows[4].Median
	if quick.Sent == 0 || quick.Records != uint64(quick.Flows)-quick.Drops*10 ||
		quick.LostShare != float64(quick.Drops)/float64(quick.Sent) {
		t.Errorf("quick: %+v, want all of it but for what was dropped", quick)
	}
	if quick.Peak < 1<<20 {
		t.Errorf("quick: a peak of %d bytes", quick.Peak)
	}
	// It takes 200 a second at most and holds 100 more: it loses some of 700 even where sending takes three seconds.
	if slow.Drops == 0 && slow.Sent >= 700 || slow.Records != uint64(slow.Flows)-slow.Drops*10 {
		t.Errorf("slow: %+v, want some lost, and none besides those", slow)
	}
	if !strings.Contains(rows[2].Failed, "no such thing") {
		t.Errorf("broken: %q, want its last words", rows[2].Failed)
	}
}

// A collector with a database is done when the flows are there; what it does after that is not counted.
func TestAll_untilStored(t *testing.T) {
	o := options(t, 1000)
	c, asked := fake("with a database"), 0
	c.Count = nil
	c.Stored = func(context.Context, string) (uint64, error) {
		if asked++; asked < 3 {
			return uint64(asked), nil
		}
		return 1_000_000, nil
	}
	rows, err := All(context.Background(), []Contender{c}, o)
	if err != nil {
		t.Fatal(err)
	}
	r := rows[0]
	if r.Failed != "" || asked != 4 || r.Median.Records != 1_000_000 {
		t.Errorf("asked %d times, want twice in vain and once more for the figure: %+v", asked, r)
	}
}

// The peers that are on this machine take every flow of a slow replay.
func TestAll_peers(t *testing.T) {
	for _, protocol := range []flow.Protocol{flow.NetFlowV9, flow.SFlow5} {
		var o Options
		o.Protocol = protocol
		all, missing := Taking(Contenders(Setting{Self: "/not/there"}), o)
		t.Log(missing)
		c := replay.NewCapture()
		g := gen.Options{Protocol: protocol, Flows: 2000, Start: time.Now()}
		if err := gen.Each(g, func(d exporter.Datagram) error { c.Add(d); return nil }); err != nil {
			t.Fatal(err)
		}
		o = Options{Capture: c, Protocol: protocol, Rates: []float64{4000}, Duration: 500 * time.Millisecond, Runs: 1}
		for i := range all {
			if strings.HasPrefix(all[i].Name, "ours") {
				continue
			}
			t.Run(all[i].Name, func(t *testing.T) {
				rows, err := All(context.Background(), all[i:i+1], o)
				if err != nil {
					t.Fatal(err)
				}
				r := rows[0]
				if r.Failed != "" || r.Median.Drops > 0 {
					t.Fatalf("%+v", r)
				}
				// sfacctd has been seen to print all its rows twice as it ends on a busy machine: no flow is missing.
				if all[i].Count != nil && r.Median.Records < uint64(r.Median.Flows) {
					t.Errorf("it has %d records of %d flows", r.Median.Records, r.Median.Flows)
				}
			})
		}
	}
}

func TestTaking(t *testing.T) {
	list, missing := Taking([]Contender{
		{Name: "here", Program: "sh"}, {Name: "of another protocol", Program: "sh",
			Protocols: []flow.Protocol{flow.SFlow5}},
		{Name: "away", Program: "no-such-program", Install: "apt-get install it"},
	}, Options{Protocol: flow.IPFIX})
	if len(list) != 1 || list[0].Name != "here" {
		t.Errorf("%+v", list)
	}
	if len(missing) != 1 || !strings.Contains(missing[0], "apt-get install it") {
		t.Errorf("%q", missing)
	}
}

func TestRow_median(t *testing.T) {
	r := Row{Runs: []Run{{PerFlow: 3, Peak: 1}, {PerFlow: 1, Peak: 9}, {PerFlow: 2, Peak: 5}}}
	r.median()
	if r.Median.PerFlow != 2 || r.Median.Peak != 5 {
		t.Errorf("%+v", r.Median)
	}
}
