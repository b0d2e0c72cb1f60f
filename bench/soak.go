package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/routers"
	"github.com/metranova/flow-collector/decoder/route"
)

func soakCommand() *cli.Command {
	return &cli.Command{
		Name:  "soak",
		Usage: "routers that change routes and lose their sessions for hours, towards a running collector",
		Description: "Routers 127.17.0.1 and so on connect to a collector, announce their tables, and then send " +
			"UPDATEs with attributes that\n" +
			"never come again; some withdraw. Sessions end and begin again. At the end all have the tables of the\n" +
			"beginning. ROUTE-REFRESH is answered with that table too. The collector's /metrics say what it kept:\n" +
			"go_goroutines, go_memstats_heap_objects, flow_collector_routing_*.\n" +
			"   bench soak --to 127.0.0.1:1179 --routers 50 --for 1h --updates 5000 --flap 3s\n" +
			"More routes than routing.max_memory has room for, until two of three routers have gone:\n" +
			"   bench soak --to 127.0.0.1:1179 --routers 3 --prefixes 2000000 --for 1m --flap 0 --leave 2 --stay 5m",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "BGP `ADDRESS:PORT` of the collector", Required: true},
			&cli.IntFlag{Name: "routers", Usage: "`N` routers", Value: 50},
			&cli.StringFlag{Name: "table",
				Usage: "prefixes from `FILE`, one a line (default: those of bart's test data)"},
			&cli.IntFlag{Name: "prefixes", Usage: "`N` prefixes a router", Value: 50_000},
			&cli.IntFlag{Name: "updates", Usage: "`N` UPDATEs a second, of all routers together", Value: 5000},
			&cli.DurationFlag{Name: "flap", Usage: "a session ends and begins again every `TIME`; 0: none does",
				Value: 3 * time.Second},
			&cli.DurationFlag{Name: "for", Usage: "take `TIME`", Value: time.Hour},
			&cli.IntFlag{Name: "leave", Usage: "the first `N` routers end their sessions for good at the end"},
			&cli.DurationFlag{Name: "stay", Usage: "stay connected for `TIME` after the last change",
				Value: 2 * time.Minute}},
		Action: soak,
	}
}

// soaker is the routers of a soak. All announce the same prefixes with attributes of their own.
type soaker struct {
	to       string
	table    []route.Prefix
	speakers []*routers.Speaker
	random   *rand.Rand
	updates  int
	flaps    int
}

func soak(ctx context.Context, c *cli.Command) error {
	s := &soaker{to: c.String("to"), random: rand.New(rand.NewPCG(1, 2))}
	var err error
	if s.table, err = routers.Table(c.String("table")); err != nil {
		return err
	}
	s.random.Shuffle(len(s.table), func(i, j int) { s.table[i], s.table[j] = s.table[j], s.table[i] })
	s.table = s.table[:min(len(s.table), c.Int("prefixes"))]
	for n := range c.Int("routers") {
		s.speakers = append(s.speakers, nil)
		if err := s.begin(n); err != nil {
			return err
		}
	}
	s.say("all tables are sent")
	if err := measure.Pause(ctx, c.Duration("stay")); err != nil {
		return err
	}
	s.say("the changes begin")
	if err := s.change(ctx, c.Duration("for"), c.Duration("flap"), c.Int("updates")); err != nil {
		return err
	}
	s.say("the changes end")
	leave := c.Int("leave")
	for n, x := range s.speakers {
		if n < leave {
			x.Close()
		} else if leave > 0 {
			continue
		} else if err := s.begin(n); err != nil {
			return err
		}
	}
	s.say(map[bool]string{true: "some routers are gone", false: "all tables are sent again"}[leave > 0])
	return measure.Pause(ctx, c.Duration("stay"))
}

func (s *soaker) say(what string) {
	fmt.Printf("%s %s: %d routers, %d prefixes each; %d UPDATEs, %d flaps\n", time.Now().Format(time.TimeOnly), what,
		len(s.speakers), len(s.table), s.updates, s.flaps)
}

// begin has router n end its session, if it has one, and begin another with the table of the beginning.
func (s *soaker) begin(n int) error {
	if s.speakers[n] != nil {
		s.speakers[n].Close()
	}
	var err error
	if s.speakers[n], err = routers.Connect(s.to, n, false); err != nil {
		return fmt.Errorf("router %d: %w", n, err)
	}
	x := s.speakers[n]
	x.OnRefresh(func() {
		fmt.Printf("%s router %d is asked for all its routes\n", time.Now().Format(time.TimeOnly), n)
		_ = x.Send(routers.Stream(s.table, uint32(n), false, routers.ID(n))) // an error ends the session
	})
	return x.Send(routers.Stream(s.table, uint32(n), false, routers.ID(n)))
}

// change sends UPDATEs at the rate, ten times a second, and ends sessions.
func (s *soaker) change(ctx context.Context, lasts, flap time.Duration, rate int) error {
	begun := time.Now()
	for flapped := begun; time.Since(begun) < lasts; {
		due := int(time.Since(begun).Seconds() * float64(rate))
		for s.updates < due {
			n := s.random.IntN(len(s.speakers))
			at := s.random.IntN(len(s.table))
			part := s.table[at:min(len(s.table), at+50)]
			var b []byte
			if s.random.IntN(5) == 0 {
				b = routers.Withdrawals(part)
			} else {
				b = routers.Updates(part, s.random.Uint32())
			}
			if err := s.speakers[n].Send(b); err != nil {
				return fmt.Errorf("router %d: %w", n, err)
			}
			s.updates += routers.Messages(b)
		}
		if flap > 0 && time.Since(flapped) > flap {
			flapped = flapped.Add(flap)
			if err := s.begin(s.flaps % len(s.speakers)); err != nil {
				return err
			}
			s.flaps++
		}
		if err := measure.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
