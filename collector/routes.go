package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/diskfile"
	"github.com/metranova/flow-collector/collector/lookingglass"
	"github.com/metranova/flow-collector/collector/web"
)

// passwordVariable has the password of --user.
const passwordVariable = "COLLECTOR_PASSWORD"

// lookUpFlags are the flags that need an address. The server has the same names, with _ for -.
var lookUpFlags = []string{"router", "table", "view", "exporter", "rd", "next-hop", "in", "out"}

func routesCommand() *cli.Command {
	return &cli.Command{
		Name:      "routes",
		Usage:     "show the routes of the running collector to an address, and what a flow gets of them",
		ArgsUsage: "[ADDRESS | PREFIX]",
		Description: `Asks the collector that runs here, at http.listen. Without an address it lists sessions, tables
and what is wrong with them. With one it prints the routes that each router has to it: those to the longest prefix of
each table and view. --exporter says which of them a flow of that exporter gets, and why. --mrt writes all routes as an
MRT file (TABLE_DUMP_V2, RFC 6396 and 8050), which bgpdump and others read, and routing.mrt too.

  collector routes
  collector routes 192.0.2.7
  collector routes 192.0.2.7 --exporter 198.51.100.1
  collector routes 2001:db8::/32 --all --router core1 --json
  collector routes --mrt routes.mrt.gz --router core1

Where http.explore is "users", --user names one, and ` + passwordVariable + ` has the password.`,
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "router", Usage: "only the router with this `NAME` or address"},
			&cli.StringFlag{Name: "table",
				Usage: "only this `TABLE`: global, unicast, labelled, vpn, or a route distinguisher"},
			&cli.StringFlag{Name: "view",
				Usage: "only routes of this `VIEW`: " + strings.Join(lookingglass.Views(), ", ")},
			&cli.BoolFlag{Name: "all", Usage: "shorter prefixes too"},
			&cli.StringFlag{Name: "exporter", Usage: "say what a flow of this exporter's `ADDRESS` gets"},
			&cli.StringFlag{Name: "rd", Usage: "the flow is in the VRF with this route distinguisher `RD`"},
			&cli.StringFlag{Name: "next-hop", Usage: "the flow has this BGP next hop `ADDRESS`"},
			&cli.StringFlag{Name: "in", Usage: "the flow came in by interface `N`"},
			&cli.StringFlag{Name: "out", Usage: "the flow went out by interface `N`"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.StringFlag{Name: "mrt", Usage: "write all routes to an MRT `FILE`; with gzip if it ends in .gz"},
			&cli.StringFlag{Name: "url", Usage: "ask the collector at this `URL` instead"},
			&cli.StringFlag{Name: "user", Usage: "ask as this `NAME`"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			server, err := routesServer(c)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			switch {
			case c.Args().Len() > 1:
				return commandline.Usage("one address or prefix at a time")
			case c.String("mrt") != "" && c.Args().Len() > 0:
				return commandline.Usage("--mrt writes all routes: give no address")
			case c.String("mrt") != "":
				return dumpRoutes(ctx, server, c.String("router"), c.String("mrt"))
			case c.Args().Len() == 0:
				for _, name := range lookUpFlags {
					if c.IsSet(name) {
						return commandline.Usage("--%s: give the address that is looked up too", name)
					}
				}
				return show(ctx, server, lookingglass.PathSummary, c.Bool("json"), lookingglass.WriteSummary)
			}
			return show(ctx, server, lookingglass.PathRoutes+"?"+routesQuery(c).Encode(), c.Bool("json"), writeAnswer)
		},
	}
}

// routesServer is the collector's URL, with the user who asks.
func routesServer(c *cli.Command) (string, error) {
	server := strings.TrimSuffix(c.String("url"), "/")
	if server == "" {
		cfg, err := loadConfig(c)
		if err != nil {
			return "", err
		}
		if cfg.HTTP.Listen == "" {
			return "", errors.New("http.listen is off: the collector cannot be asked")
		}
		server = pageURL(cfg)
	}
	if c.String("user") == "" {
		return server, nil
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("--url: %w", err)
	}
	password, found := os.LookupEnv(passwordVariable)
	if !found {
		return "", fmt.Errorf("--user: the variable %s has no password", passwordVariable)
	}
	u.User = url.UserPassword(c.String("user"), password)
	return u.String(), nil
}

// routesQuery is what the server is asked for. The server says what is wrong with it.
func routesQuery(c *cli.Command) url.Values {
	values := url.Values{"address": {c.Args().First()}}
	for _, flag := range lookUpFlags {
		if c.IsSet(flag) {
			values.Set(strings.ReplaceAll(flag, "-", "_"), c.String(flag))
		}
	}
	if c.Bool("all") {
		values.Set("all", "1")
	}
	return values
}

// show asks for a path and prints the answer: as JSON, or by write. The error has what the server says.
func show[T any](ctx context.Context, server, path string, asJSON bool, write func(io.Writer, *T) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	text, err := web.Get(ctx, server, path)
	if status := (*web.StatusError)(nil); errors.As(err, &status) {
		if said := bytes.TrimSpace(text); len(said) > 0 {
			return fmt.Errorf("%s", said)
		}
	}
	if err != nil {
		return err
	}
	if asJSON {
		_, err = commandline.PlainTerminal(os.Stdout).Write(text)
		return err
	}
	var answer T
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("what the collector says of its routes: %w", err)
	}
	return write(commandline.PlainTerminal(os.Stdout), &answer)
}

// writeAnswer prints the routes to an address.
func writeAnswer(out io.Writer, a *lookingglass.Answer) error {
	lookingglass.WriteAnswer(out, a)
	return nil
}

// dumpRoutes writes an MRT file, whole or not at all.
func dumpRoutes(ctx context.Context, server, router, file string) error {
	path := lookingglass.PathDump
	if router != "" {
		path += "?" + url.Values{"router": {router}}.Encode()
	}
	err := diskfile.Replace(file, func(w io.Writer) error {
		if !strings.HasSuffix(file, ".gz") {
			return web.Download(ctx, server, path, w)
		}
		z := gzip.NewWriter(w)
		return errors.Join(web.Download(ctx, server, path, z), z.Close())
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
