package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/compare"
	"github.com/metranova/flow-collector/bench/latency"
	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/replay"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/freeport"
)

func latencyCommand() *cli.Command {
	return &cli.Command{
		Name:      "latency",
		Usage:     "measure the time from a datagram's sending until a query finds its row",
		ArgsUsage: "[FILE.pcap…]",
		Description: "Flows with an address of their own are sent at random times, each in a datagram of its own, " +
			"while the table is asked for them over\n" +
			"and over. Most of the time is batch.age, which rows wait for others. Without --to it starts a collector " +
			"with a scratch store.\n\n" +
			"   bench latency                                  # nothing else to do\n" +
			"   bench latency --rate 100000                      # beside 100,000 flows a second of generated " +
			"traffic\n" +
			"   bench latency --to 192.0.2.7:2055 --store 192.0.2.7:8123 --password …   # a collector that runs",
		Flags: append(genFlags(),
			&cli.IntFlag{Name: "samples", Usage: "send `N` flows that are looked for", Value: 100},
			&cli.DurationFlag{Name: "every", Usage: "`TIME` between them, on average", Value: 200 * time.Millisecond},
			&cli.DurationFlag{Name: "timeout", Usage: "a flow without a row after `TIME` is missing",
				Value: 30 * time.Second},
			&cli.Float64Flag{Name: "rate",
				Usage: "send the capture, or a generated one, at `N` flows a second beside them; 0: nothing"},
			&cli.StringFlag{Name: "to", Usage: "send to the collector at `HOST:PORT` (default: one of our own)"},
			&cli.StringFlag{Name: "store", Usage: "its ClickHouse or local store answers HTTP at `HOST:PORT`",
				Value: "127.0.0.1:8123"},
			&cli.StringFlag{Name: "database", Usage: "database of the table", Value: "default"},
			&cli.StringFlag{Name: "table", Usage: "table of the rows", Value: "data_flow"},
			&cli.StringFlag{Name: "username", Usage: "of the store", Value: "default"},
			&cli.StringFlag{Name: "password", Usage: "of the store", Sources: cli.EnvVars("STORE_PASSWORD")},
			&cli.StringFlag{Name: "collector", Usage: "our collector's program `FILE`", Value: "bin/collector"},
			&cli.StringFlag{Name: "engine", Usage: "the local store's engine `FILE`", Value: ".engine/libchdb.so"},
			&cli.BoolFlag{Name: "json", Usage: "print all times as JSON"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := measureLatency(ctx, c); err != nil {
				return fmt.Errorf("latency: %w", err)
			}
			return nil
		},
	}
}

func measureLatency(ctx context.Context, c *cli.Command) (err error) {
	store, to := c.String("store"), netip.AddrPort{}
	if text := c.String("to"); text != "" {
		if to, err = netip.ParseAddrPort(text); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
	} else {
		own, err := startScratch(ctx, c)
		if err != nil {
			return err
		}
		defer own.stop()
		store, to = own.store, own.to
	}
	conn, err := clickhouse.New(clickhouse.Options{
		Addrs: []string{store}, Database: c.String("database"), Username: c.String("username"),
		Password: c.String("password"),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	table := "`" + c.String("table") + "`"
	if err := awaitTable(ctx, conn, table); err != nil {
		return err
	}
	stop, err := beside(ctx, c, to)
	if err != nil {
		return err
	}
	bar := newBar("found", c.Int("samples"))
	result, err := latency.Run(ctx, latency.Options{
		To: to, Conn: conn, Table: table, Samples: c.Int("samples"), Every: c.Duration("every"),
		Timeout: c.Duration("timeout"), Progress: bar.set,
	})
	bar.finish()
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(os.Stdout).Encode(result)
	}
	printLatency(result)
	return nil
}

func printLatency(r latency.Result) {
	fmt.Printf("%s flows, from the datagram to the row that a query finds\n", thousands(r.Sent))
	for _, p := range []float64{0, 50, 90, 99, 100} {
		name := fmt.Sprintf("p%.0f", p)
		switch p {
		case 0:
			name = "least"
		case 100:
			name = "most"
		}
		fmt.Printf("%-6s %8s\n", name, r.Percentile(p).Round(time.Millisecond))
	}
	fmt.Printf("looked every %s or less\n", r.Resolution.Round(time.Millisecond))
	if r.Missing > 0 {
		fmt.Printf("missing: %s\n", thousands(r.Missing))
	}
}

// scratch is a collector of our own.
type scratch struct {
	cmd   *exec.Cmd
	dir   string
	to    netip.AddrPort
	store string
}

// startScratch starts a collector, whose tables come a little later.
func startScratch(ctx context.Context, c *cli.Command) (*scratch, error) {
	dir, err := os.MkdirTemp("", "latency")
	if err != nil {
		return nil, err
	}
	s := &scratch{dir: dir}
	if s.to, err = freeport.Next(); err != nil {
		return nil, err
	}
	store, err := freeport.Next()
	if err != nil {
		return nil, err
	}
	s.store = store.String()
	s.cmd, err = compare.Setting{Collector: c.String("collector"), Engine: c.String("engine")}.Service(dir, s.to.Port(),
		s.store)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make build engine)", errors.Join(err, os.RemoveAll(dir)))
	}
	for begin := time.Now(); measure.Sockets(s.to.Port()).Bound == 0; time.Sleep(100 * time.Millisecond) {
		if ctx.Err() != nil || time.Since(begin) > time.Minute {
			said, _ := os.ReadFile(log.Name()) // what cannot be read says nothing
			s.stop()
			return nil, fmt.Errorf("%s does not listen: %s", c.String("collector"), said)
		}
	}
	return s, nil
}

// stop ends the collector and removes what it kept.
func (s *scratch) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait() // its status says nothing of the measurement
	_ = os.RemoveAll(s.dir)
}

// awaitTable waits until the collector has made its tables, a minute at most.
func awaitTable(ctx context.Context, conn driver.Conn, table string) (err error) {
	for begin := time.Now(); ctx.Err() == nil && time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) {
		if err = conn.Exec(ctx, "SELECT 1 FROM "+table+" LIMIT 0"); err == nil {
			return nil
		}
	}
	return errors.Join(err, ctx.Err())
}

// beside sends other traffic, if the options ask for it, until the returned function is called.
func beside(ctx context.Context, c *cli.Command, to netip.AddrPort) (stop func() error, err error) {
	rate := c.Float64("rate")
	if rate <= 0 {
		return func() error { return nil }, nil
	}
	capture, err := captureOrGenerated(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := replay.Run(ctx, capture, replay.Options{To: to, Rate: rate, Duration: 24 * time.Hour, Rewrite: true})
		ended <- err
	}()
	return func() error { cancel(); return <-ended }, nil
}
