package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/top"
	"github.com/metranova/flow-collector/collector/web"
)

func topCommand() *cli.Command {
	return &cli.Command{
		Name:  "top",
		Usage: "show the exporters of the running collector and their rates, live",
		Description: `Asks the collector that runs here, at http.listen, every two seconds. On anything but a terminal
it prints once.

  collector top
  collector top --once
  collector top --url http://collector.example:8080`,
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "url", Usage: "ask the collector at this `URL` instead"},
			&cli.BoolFlag{Name: "once", Usage: "print once"},
			&cli.DurationFlag{Name: "every", Value: 2 * time.Second, Usage: "ask every `TIME`"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			url := c.String("url")
			if url == "" {
				cfg, err := loadConfig(c)
				if err != nil {
					return err
				}
				if cfg.HTTP.Listen == "" {
					return errors.New("http.listen is off: the collector cannot be asked")
				}
				url = pageURL(cfg)
			}
			if c.Duration("every") < 100*time.Millisecond {
				return commandline.Usage("--every: at least 100ms")
			}
			_, terminal := screen()
			return runTop(ctx, url, c.Duration("every"), c.Bool("once") || !terminal)
		},
	}
}

// pageURL is where this host reaches the page of the configured collector, whose http.listen is not off.
func pageURL(cfg *config.Config) string { return "http://" + web.Reachable(cfg.HTTP.Listen) }

// exporters asks a collector what it does now.
func exporters(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return web.Get(ctx, url, "/exporters.json")
}

// screen is the size of the terminal; false where there is none.
func screen() (top.Size, bool) {
	size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return top.Size{}, false
	}
	return top.Size{Columns: int(size.Col), Rows: int(size.Row)}, true
}

// The terminal's other screen, which leaves what was there before as it was (xterm's ctlseqs).
const (
	otherScreen  = "\x1b[?1049h\x1b[?25l"
	beforeScreen = "\x1b[?25h\x1b[?1049l"
	clearScreen  = "\x1b[H\x1b[2J"
)

func runTop(ctx context.Context, url string, every time.Duration, once bool) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	text, err := exporters(ctx, url)
	if err != nil {
		return err
	}
	if once {
		return top.Write(os.Stdout, text, top.Size{})
	}
	fmt.Print(otherScreen)
	defer fmt.Print(beforeScreen)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		size, _ := screen()
		fmt.Print(clearScreen)
		if err == nil {
			err = top.Write(os.Stdout, text, size)
		}
		if err != nil {
			fmt.Println(err) // it may come back
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		text, err = exporters(ctx, url)
	}
}
