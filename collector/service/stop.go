package service

import (
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/report"
)

// closers close what was opened while the program starts, the latest first, unless the start succeeds.
type closers []func()

func (c *closers) add(f func()) { *c = append(*c, f) }

// keep leaves all of it open.
func (c *closers) keep() { *c = nil }

func (c *closers) close() {
	for i := len(*c) - 1; i >= 0; i-- {
		(*c)[i]()
	}
	*c = nil
}

// SignalDebounce is how long after the first signal another one is taken for the same: make, timeout and others pass
// theirs on to their children, which have it already.
const SignalDebounce = 300 * time.Millisecond

// abandonWait limits the work after a second signal. The store ends by itself when this process is gone.
const abandonWait = 500 * time.Millisecond

// abandon ends the program at a second signal, within a second, unless it has finished. It says what is left behind.
// since is when the first signal came.
func abandon(signals <-chan os.Signal, finished <-chan struct{}, since time.Time,
	summary func() *report.Summary, log *zap.Logger, exit func(int)) {
	for {
		select {
		case <-finished:
			return
		case sig := <-signals:
			if sig == syscall.SIGHUP || time.Since(since) < SignalDebounce {
				continue
			}
		}
		break
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		sum := summary()
		var fields []zap.Field
		for _, o := range sum.Sinks {
			fields = append(fields, zap.Uint64(o.Unit+" not delivered", o.Waiting),
				zap.Uint64(o.Unit+" on disk", o.OnDisk), zap.Uint64(o.Unit+" delivered", o.Delivered))
		}
		log.Error("stopped at once", fields...)
	}()
	select {
	case <-told:
	case <-time.After(abandonWait):
	}
	exit(1)
}
