package outage

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/metranova/flow-collector/bench/measure"
)

// Kill is what a kill -9 of the collector cost.
type Kill struct {
	Lost uint64 // flows that it had received and that no table has
	Down uint64 // flows that were sent while nobody listened
}

// Crash kills the collector again and again while flows are sent, and reports what each time cost.
func Crash(ctx context.Context, o Options, kills int) (*Result, error) {
	r, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.end()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan struct{})
	begun := time.Now()
	go func() {
		r.sender.run(sending, o.Rate)
		close(sent)
	}()
	type span struct{ killed, back uint64 } // numbers of flows
	var spans []span
	for n := range kills {
		if err := measure.Pause(ctx, o.For/time.Duration(kills+1)); err != nil {
			return nil, err
		}
		r.collector.Stop(syscall.SIGKILL)
		s := span{killed: r.sender.sent()}
		if err := r.startCollector(ctx); err != nil {
			return nil, fmt.Errorf("after kill %d: %w", n+1, err)
		}
		s.back = r.sender.sent()
		spans = append(spans, s)
		r.o.Log("kill -9 number %d of %d", n+1, kills)
		r.peak = max(r.peak, measure.Resident(r.collector.PID()))
	}
	if err := measure.Pause(ctx, o.For/time.Duration(kills+1)); err != nil {
		return nil, err
	}
	stop()
	<-sent
	result := &Result{Sending: time.Since(begun)}
	if err := r.settle(ctx, 10*time.Second); err != nil {
		return nil, err
	}
	if err := r.count(ctx, result); err != nil {
		return nil, err
	}
	first := uint64(1)
	for _, s := range spans {
		lost, err := r.missing(ctx, first, s.killed)
		if err != nil {
			return nil, err
		}
		down, err := r.missing(ctx, s.killed+1, s.back)
		if err != nil {
			return nil, err
		}
		result.Kills = append(result.Kills, Kill{Lost: lost, Down: down})
		first = s.back + 1
	}
	return result, nil
}

// missing is how many of the flows with numbers from first to last are not in the table.
func (r *run) missing(ctx context.Context, first, last uint64) (uint64, error) {
	if last < first {
		return 0, nil
	}
	n, err := r.tables.Numbers(ctx,
		fmt.Sprintf("SELECT uniqExact(bit_count) FROM data_flow WHERE bit_count BETWEEN %d AND %d", first*8, last*8))
	if err != nil {
		return 0, err
	}
	return last - first + 1 - n[0], nil
}
