// Package compare runs collectors one after the other under the same replay, each on one core with the sender on
// another, and says what each took of its core for a flow, how much memory, and what it lost.
package compare

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/freeport"
)

// Contender is one collector, in one way of using it.
type Contender struct {
	Name     string
	Includes string // what its figure is for
	// Program is what must be there, and Install how it gets there.
	Program   string
	Install   string
	Protocols []flow.Protocol
	// Core counts the first process alone, without those that it starts.
	Core bool
	// Command makes the program's command line; what it writes goes into dir.
	Command func(dir string, port uint16, p flow.Protocol) (*exec.Cmd, error)
	// Stored returns how many flow records can be queried. nil: the collector has no database.
	Stored func(ctx context.Context, dir string) (uint64, error)
	// Count returns the collector's own count, read from dir after its end. nil: it has none.
	Count func(dir string) (Count, error)
}

// Count is what a collector says of a run.
type Count struct {
	Datagrams uint64 `json:"datagrams"`
	Drops     uint64 `json:"kernel_drops"`
	Records   uint64 `json:"records"`
	Missing   uint64 `json:"lost_by_sequence"`
}

// Setting is what contenders need to know of this host.
type Setting struct {
	Self      string // this program
	Collector string // the collector's binary
	Engine    string // and the store's library
	Prefixes  int    // of metadata for our own pipeline
	Exporters int
	Broker    string // of Kafka; "": none
}

// outputFile is where programs write their standard output and error, in their directory.
const outputFile = "output"

// Contenders are all that are known, ours first.
func Contenders(s Setting) []Contender {
	return slices.Concat(ours(s), pmacct(), nfdump(), goflow2())
}

// takes reports whether a contender takes a protocol.
func (c *Contender) takes(p flow.Protocol) bool {
	return len(c.Protocols) == 0 || slices.Contains(c.Protocols, p)
}

// Missing is why a contender cannot run here; "" if it can.
func (c *Contender) Missing() string {
	if _, err := exec.LookPath(c.Program); err != nil {
		return fmt.Sprintf("%s is not there: %s", c.Program, c.Install)
	}
	return ""
}

func netflows() []flow.Protocol { return []flow.Protocol{flow.NetFlowV5, flow.NetFlowV9, flow.IPFIX} }

// ours are the collector's own ways.
func ours(s Setting) []Contender {
	stage := func(to, includes string) Contender {
		return Contender{
			Name: "ours: " + to, Includes: includes, Program: s.Self,
			Command: func(_ string, port uint16, _ flow.Protocol) (*exec.Cmd, error) {
				return exec.Command(s.Self, "collect", "--to", to, "--prefixes", strconv.Itoa(s.Prefixes),
					"--exporters", strconv.Itoa(s.Exporters), "--listen", loopback(port)), nil
			},
			Count: countOurs,
		}
	}
	list := []Contender{
		stage("decode", "decoded records, dropped"),
		stage("encode", "decoded, enriched, in encoded blocks of ClickHouse's format, dropped"),
		stage("pmacct-json", "decoded, as JSON messages like nfacctd's, dropped"),
		stage("protobuf", "decoded, enriched, as protobuf messages, dropped"),
		{
			Name: "ours: local store", Includes: "rows in the tables of the local store: both processes, no metadata",
			Program: s.Collector, Install: "make build engine",
			Command: s.serviceWithStore, Stored: countStored,
		},
	}
	if s.Broker != "" {
		list = append(list, s.producing("pmacct-json"), s.producing("protobuf"))
	}
	return list
}

// Service is `collector run` with a scratch store of its own, which answers at an address, and all that it keeps in
// dir.
func (s Setting) Service(dir string, port uint16, store string) (*exec.Cmd, error) {
	engine, err := filepath.Abs(s.Engine)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.Collector, "run")
	in := func(name string) string { return filepath.Join(dir, name) }
	cmd.Env = append(os.Environ(), "LISTEN="+loopback(port), "HTTP_LISTEN=", "STORE_LISTEN="+store,
		"STORE_ENGINE="+engine, "STORE_PATH="+in("data"),
		"CACHE_DIR="+in("caches"), "SPOOL_PATH="+in("spool"), "QUARANTINE_PATH="+in("quarantine"),
		"METADATA_DIR="+in("metadata"), "COLLECTOR_ID=bench", "CLICKHOUSE_HOST=")
	return cmd, os.Mkdir(in("metadata"), 0o700)
}

// storeFile has, in a contender's directory, the address of its store.
const storeFile = "store"

// serviceWithStore is Service with a store that can be found again.
func (s Setting) serviceWithStore(dir string, port uint16, _ flow.Protocol) (*exec.Cmd, error) {
	address, err := freeport.Next()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, storeFile), []byte(address.String()), 0o600); err != nil {
		return nil, err
	}
	return s.Service(dir, port, address.String())
}

// countStored asks the store of serviceWithStore. There are no rows while the collector still makes its tables.
func countStored(ctx context.Context, dir string) (rows uint64, err error) {
	address, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		return 0, err
	}
	conn, err := clickhouse.New(clickhouse.Options{Addrs: []string{string(address)}})
	if err != nil {
		return 0, err
	}
	defer conn.Close() // what it had to say is read
	const unknownTable = 60
	err = conn.QueryRow(ctx, "SELECT count() FROM data_flow").Scan(&rows)
	if e := new(proto.Exception); errors.As(err, &e) && e.Code == unknownTable {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count the rows of its store: %w", err)
	}
	return rows, nil
}

func loopback(port uint16) string { return "127.0.0.1:" + strconv.Itoa(int(port)) }

// countOurs reads the line that bench collect ends with.
func countOurs(dir string) (c Count, err error) {
	data, err := os.ReadFile(filepath.Join(dir, outputFile))
	if err != nil {
		return c, err
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &c); err != nil {
		return c, fmt.Errorf("%q is not what bench collect says at its end: %w", lines[len(lines)-1], err)
	}
	return c, nil
}

// countLines counts the lines of files, each of which is a record.
func countLines(pattern string) func(dir string) (Count, error) {
	return func(dir string) (c Count, err error) {
		files, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is well-formed
		for _, name := range files {
			file, err := os.Open(name)
			if err != nil {
				return c, err
			}
			in := bufio.NewReaderSize(file, 1<<20)
			for {
				line, err := in.ReadSlice('\n')
				if len(line) > 0 && line[len(line)-1] == '\n' {
					c.Records++
				}
				if err != nil && err != bufio.ErrBufferFull {
					break
				}
			}
			_ = file.Close() // it was only read
		}
		return c, nil
	}
}
