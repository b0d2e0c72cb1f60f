package report

import (
	"fmt"
	"io"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/collector/verdict"
)

// PrintSkipped writes what of a capture was not, or not completely, decoded.
func PrintSkipped(out io.Writer, s capture.Skipped) {
	if s.NotUDP > 0 {
		fmt.Fprintf(out, "not UDP in the capture: %s\n", commandline.Count(s.NotUDP, "packet"))
	}
	if s.Fragments > 0 {
		fmt.Fprintf(out, "IP fragments in the capture: %d, reassembled where all parts were there\n", s.Fragments)
	}
	if s.Cut > 0 {
		fmt.Fprintf(out, "cut by the capture's snap length: %s\n", commandline.Count(s.Cut, "datagram"))
	}
}

// ForwardLosses returns the datagrams that other collectors did not get.
func ForwardLosses(all []*forward.Forwarder) []Loss {
	var losses []Loss
	for _, s := range forward.Sum(all) {
		for r, n := range s.Lost {
			if n > 0 {
				losses = append(losses, Loss{n, "datagrams not forwarded: " + forward.Reason(r).String(),
					"forward to " + s.Target})
			}
		}
	}
	return losses
}

// CaptureLosses returns the datagrams that the captures do not have in full.
func CaptureLosses(s capture.Skipped) []Loss {
	if s.Cut == 0 {
		return nil
	}
	return []Loss{{uint64(s.Cut), "datagrams cut by the snap length", "captures"}}
}

// SocketLosses returns what was lost before a worker received it.
func SocketLosses(listeners []*listen.Worker) []Loss {
	total := listen.Total(listeners)
	return statsLosses(&total)
}

func statsLosses(total *listen.Stats) []Loss {
	var losses []Loss
	add := func(n uint64, what, where string) {
		if n > 0 {
			losses = append(losses, Loss{n, what, where})
		}
	}
	reason, advice := verdict.KernelDrops(total.ShortBuffer)
	what := "datagrams dropped by the kernel: " + reason + ": " + advice
	add(total.KernelDrops, what, "sockets")
	add(total.Late, "datagrams that came while the collector stopped", "sockets")
	add(total.OverShare, "datagrams of sources that took more than their share while the collector was behind",
		"sockets")
	add(total.Refused, "datagrams from exporters that may not send", "listen.allowed_exporters")
	return losses
}

// ConnectionLosses returns the connections that lost something. Sources beyond the first few hundred are "other".
func ConnectionLosses(l *stream.Listener) (losses []Loss) {
	stats := l.Stats()
	for _, end := range stats.Ends() {
		if !end.Reason.Loses() {
			continue
		}
		where := "others"
		if end.Source.IsValid() {
			where = end.Source.String()
		}
		losses = append(losses,
			Loss{stats.Ended[end], "connections refused or closed: " + string(end.Reason), where})
	}
	return losses
}
