package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/collector/service"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "collect: receive flow exports, enrich them and write them to ClickHouse",
		Description: `Without a configuration it listens on UDP 2055, 4739 and 6343, each for every protocol, and keeps
rows in a local store under data/, which answers ClickHouse's HTTP interface on 127.0.0.1:8123.

  collector run
  collector run --config /etc/flow-collector/collector.yml
  CLICKHOUSE_HOST=clickhouse.example.net collector run --env-file conf/envs/base.env
  collector run --pcap router.pcap --once --shift-to-now

SIGHUP reads the configuration and the metadata files again; a changed file is noticed without it. The log says which
settings need a restart. SIGTERM or SIGINT stops: what was received is delivered first, within batch.grace; a second
one stops at once and says what was left.`,
		Flags: append(configFlags(),
			&cli.StringSliceFlag{Name: "pcap",
				Usage: "take datagrams from the capture `FILE` instead of sockets; may be given several times"},
			&cli.BoolFlag{Name: "once",
				Usage: "with --pcap: exit when the captures are through, instead of leaving the store up for queries"},
			&cli.BoolFlag{Name: "shift-to-now",
				Usage: "with --pcap: move all times by one offset, so that the latest flow ends now"},
		),
		Action: func(_ context.Context, c *cli.Command) error {
			captures := append(c.StringSlice("pcap"), c.Args().Slice()...)
			switch {
			case len(c.StringSlice("pcap")) == 0 && c.Args().Len() > 0:
				return commandline.Usage("run takes no argument %q: captures are given with --pcap", c.Args().First())
			case len(captures) == 0 && (c.Bool("once") || c.Bool("shift-to-now")):
				return commandline.Usage("--once and --shift-to-now are for captures: give one with --pcap FILE")
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			// The reader of the log may go away or stop reading: journald restarts, a tee ends. Neither ends the
			// collector.
			signal.Ignore(syscall.SIGPIPE)
			form := logging.FormOf(cfg.LogFormat, os.Stderr, os.Getenv)
			lines := logging.NewWriter(os.Stderr, form)
			defer lines.Close(logging.FlushTime)
			if len(captures) > 0 {
				log := logging.To(lines, cfg.LogLevel, form)
				return service.Replay(cfg, log, signals, captures,
					service.ReplayOptions{Version: version, Once: c.Bool("once"), ShiftToNow: c.Bool("shift-to-now")},
					os.Stdout)
			}
			o := service.ServeOptions{Version: version, MetadataWait: service.StartupWait,
				Exit: func(status int) { lines.Close(logging.FlushTime); os.Exit(status) }}
			// serve sets the level, which may change.
			log := logging.To(lines, "debug", form)
			if form.JSON {
				o.Sum = func(text string) { log.Info("the end", zap.String("sum", text)) }
			}
			if err := service.Serve(cfg, log, signals, lines, o); err != nil {
				if form.JSON {
					log.Error("the collector failed", zap.Error(err))
				} else {
					fmt.Fprintln(lines, "collector:", err)
				}
				return errReported
			}
			return nil
		},
	}
}
