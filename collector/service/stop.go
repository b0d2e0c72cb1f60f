package service

import (
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/sink/spool"
)

// closers are what was opened while the program starts. They are closed again, the latest first, unless the start
// succeeds.
type closers []func()

func (c *closers) add(f func()) { *c = append(*c, f) }

// addSpool adds a spool; nil is none.
func (c *closers) addSpool(s *spool.Spool) {
	if s != nil {
		c.add(func() { _ = s.Close() }) // the error that ends the start is the one to tell
	}
}

// keep leaves all of it open.
func (c *closers) keep() { *c = nil }

func (c *closers) close() {
	for i := len(*c) - 1; i >= 0; i-- {
		(*c)[i]()
	}
	*c = nil
}

// closeListeners closes sockets on which nobody receives.
func closeListeners(all []*listen.Worker) {
	for _, l := range all {
		l.Close()
	}
	for _, l := range all {
		l.Free()
	}
}

// SignalDebounce is how long after the first signal another one is taken for the same: make, timeout and others pass
// theirs on to their children, which have it already.
const SignalDebounce = 300 * time.Millisecond

// abandonWait bounds what is still done at a second signal. The store ends by itself when this process is gone.
const abandonWait = 500 * time.Millisecond

// abandon ends the program at a second signal, within a second, unless it has finished. It says what is left behind.
// since is when the first signal came.
func abandon(signals <-chan os.Signal, finished <-chan struct{}, since time.Time, s *service, log *zap.Logger,
	exit func(int)) {
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
		sum := s.summary()
		log.Error("stopped at once", zap.Uint64("rows not delivered", sum.Pending),
			zap.Uint64("rows on disk", sum.Spooled),
			zap.Uint64("rows delivered", sum.Written), zap.Uint64("messages not delivered", sum.Produced.Waiting))
	}()
	select {
	case <-told:
	case <-time.After(abandonWait):
	}
	exit(1)
}
