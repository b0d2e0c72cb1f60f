package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/tap"
	"github.com/metranova/flow-collector/collector/top"
)

func tailCommand() *cli.Command {
	return &cli.Command{
		Name:      "tail",
		Usage:     "print the records of the running collector as they come",
		ArgsUsage: "[FILTER]",
		Description: `Records are rows as they are stored, enriched. The collector must run on this host, as the same
user or with this as root. It hands over at most 2000 records a second; what is left out is counted. A filter is one of
collector explore:

  collector tail
  collector tail "device = core1 and port = 443"
  collector tail "src in 192.0.2.0/24 and bytes > 1000000" --json
  collector tail "as = 64500 and not proto in (tcp, udp)" --count 10

Fields: ` + fieldList() + `.
Names of AS, organizations, countries, applications and circuits are in tables: collector explore filters by them.`,
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "json", Usage: "print whole records, a JSON object on each line"},
			&cli.IntFlag{Name: "count", Aliases: []string{"n"}, Usage: "end after `N` records", HideDefault: true},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			t := &tailing{out: commandline.PlainTerminal(os.Stdout), json: c.Bool("json"),
				most: int(c.Int("count"))}
			err = tap.Read(ctx, tap.SocketPath(cfg.Metadata.CacheDir), strings.Join(c.Args().Slice(), " "), t.record,
				func(n uint64) { fmt.Fprintln(os.Stderr, commandline.Count(n, "record"), "left out") })
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		},
	}
}

// fieldList is the fields of a filter, in lines of the width of the text around them.
func fieldList() string {
	const width = 110
	var b strings.Builder
	used := len("Fields: ")
	for i, name := range tap.Fields() {
		if i > 0 {
			b.WriteByte(',')
			if used += len(", " + name); used > width {
				b.WriteByte('\n')
				used = len(name)
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(name)
	}
	return b.String()
}

// errEnough ends a tail that has shown all that was asked for.
var errEnough = errors.New("enough records")

// tailing prints records.
type tailing struct {
	out   io.Writer
	json  bool
	most  int // 0: all
	shown int
}

func (t *tailing) record(line []byte) error {
	if t.json {
		fmt.Fprintf(t.out, "%s\n", line)
	} else if err := t.line(line); err != nil {
		return err
	}
	if t.shown++; t.shown == t.most {
		return errEnough
	}
	return nil
}

// line prints a record for people, in columns that fit most values.
func (t *tailing) line(line []byte) error {
	var r struct {
		Start    int64   `json:"start_time"` // Unix milliseconds
		Device   string  `json:"device_id"`
		Protocol string  `json:"protocol"`
		SrcIP    string  `json:"src_ip"`
		SrcPort  uint16  `json:"src_port"`
		DstIP    string  `json:"dst_ip"`
		DstPort  uint16  `json:"dst_port"`
		SrcAS    uint32  `json:"src_as_id"`
		DstAS    uint32  `json:"dst_as_id"`
		In       *string `json:"in_interface_id"`
		Out      *string `json:"out_interface_id"`
		Bits     uint64  `json:"bit_count"`
		Packets  uint64  `json:"packet_count"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("a record of the collector: %w", err)
	}
	if t.shown%40 == 0 {
		fmt.Fprintf(t.out, "%-23s %-16s %-5s %-44s %-44s %12s %9s  %s\n", "START (UTC)", "DEVICE", "PROTO", "SOURCE",
			"DESTINATION", "BYTES", "PACKETS", "INTERFACES")
	}
	fmt.Fprintf(t.out, "%-23s %-16s %-5s %-44s %-44s %12d %9d  %s → %s\n",
		time.UnixMilli(r.Start).UTC().Format("2006-01-02 15:04:05.000"), top.Printable(r.Device), r.Protocol,
		end(r.SrcIP, r.SrcPort, r.SrcAS), end(r.DstIP, r.DstPort, r.DstAS), r.Bits/8, r.Packets, interfaceID(r.In),
		interfaceID(r.Out))
	return nil
}

func end(ip string, port uint16, as uint32) string {
	ip = strings.TrimPrefix(ip, "::ffff:")
	if strings.Contains(ip, ":") {
		ip = "[" + ip + "]"
	}
	return fmt.Sprintf("%s:%d AS%d", ip, port, as)
}

func interfaceID(id *string) string {
	if id == nil {
		return "?"
	}
	return top.Printable(*id)
}
