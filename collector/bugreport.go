package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/bugreport"
	"github.com/metranova/flow-collector/collector/check"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/web"
)

func bugreportCommand() *cli.Command {
	return &cli.Command{
		Name:  "bugreport",
		Usage: "collect what helps to look into a problem, in one archive without secrets",
		Description: `The archive has the version, the settings without secrets, what check says, the exporters with
their addresses and counters, the metrics, the kernel's counters of UDP, the sizes of the tables, and the journal of
the service. No flow is in it. Look through it before you send it to somebody.

  collector bugreport
  collector bugreport --output report.tar.gz`,
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the archive to `FILE`"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			cfg, problems, ofService := readConfig(c)
			now := time.Now()
			path := c.String("output")
			if path == "" {
				path = "flow-collector-" + now.UTC().Format("20060102-150405") + ".tar.gz"
			}
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			names, err := bugreport.Write(file, now, cfg.Secrets(), reportParts(ctx, cfg, problems, ofService))
			if closed := file.Close(); err == nil {
				err = closed
			}
			if err != nil {
				return fmt.Errorf("write %s: %w", path, err)
			}
			fmt.Printf("%s has %s; look through it before you send it\n", path, strings.Join(names, ", "))
			return nil
		},
	}
}

// reportTimeout is how long one part may take.
const reportTimeout = 30 * time.Second

// reportParts are what an archive has.
func reportParts(ctx context.Context, cfg *config.Config, problems []config.Problem, ofService bool) []bugreport.Part {
	parts := []bugreport.Part{
		{Name: "version.txt", Get: func() ([]byte, error) {
			kernel, err := os.ReadFile("/proc/version")
			return fmt.Appendf(nil, "collector %s\n%s %s/%s, %d CPUs\n%s", version, runtime.Version(), runtime.GOOS,
				runtime.GOARCH, runtime.NumCPU(), kernel), err
		}},
		{Name: "config.txt", Get: func() ([]byte, error) {
			var out bytes.Buffer
			for _, p := range problems {
				fmt.Fprintln(&out, "problem:", p)
			}
			err := printSettings(&out, cfg, true)
			return out.Bytes(), err
		}},
		{Name: "check.txt", Get: func() ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, reportTimeout)
			defer cancel()
			o := check.Options{User: check.Self()}
			if ofService {
				o.User = check.ServiceUser()
			}
			var out bytes.Buffer
			_ = check.Run(ctx, cfg, problems, o, &out) // what is wrong is in the text
			return out.Bytes(), nil
		}},
		{Name: "tables.json", Get: func() ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, reportTimeout)
			defer cancel()
			var out bytes.Buffer
			err := setup.Read(ctx, cfg,
				"SELECT name, engine, total_rows, total_bytes, engine_full FROM system.tables "+
					"WHERE database = currentDatabase() AND engine != 'Dictionary' ORDER BY name", "JSONEachRow", &out)
			return out.Bytes(), err
		}},
	}
	for _, path := range []string{"exporters.json", "metrics", "readyz"} {
		parts = append(parts, bugreport.Part{Name: path,
			Get: func() ([]byte, error) { return getPage(ctx, cfg, path) }})
	}
	for name, file := range map[string]string{"udp.txt": "/proc/net/snmp", "sockets.txt": "/proc/net/udp",
		"rmem_max.txt": "/proc/sys/net/core/rmem_max", "memory.txt": "/proc/meminfo"} {
		parts = append(parts, bugreport.Part{Name: name, Get: func() ([]byte, error) { return os.ReadFile(file) }})
	}
	return append(parts, bugreport.Part{Name: "journal.txt", Get: func() ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, reportTimeout)
		defer cancel()
		return exec.CommandContext(ctx, "journalctl", "--unit=flow-collector", "--lines=5000", "--no-pager").Output()
	}})
}

// getPage is what the running collector answers; what is not ready says why.
func getPage(ctx context.Context, cfg *config.Config, path string) ([]byte, error) {
	if cfg.HTTP.Listen == "" {
		return nil, errors.New("http.listen is off")
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	text, err := web.Get(ctx, pageURL(cfg), "/"+path)
	var status *web.StatusError
	if errors.As(err, &status) {
		err = nil
	}
	var indented bytes.Buffer
	if json.Valid(text) && json.Indent(&indented, text, "", " ") == nil {
		text = indented.Bytes()
	}
	return text, err
}
