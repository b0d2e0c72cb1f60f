package service

import (
	"time"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/decoder/flow"
)

// press tells a listener how full the outputs are when neither the server nor the disk keeps up with rows. The listener
// then drops datagrams of the sources that send most, before blocks are dropped that hold rows of all sources.
type press struct {
	workers *workers
	outputs outputs
	worker  *pipeline.Worker
	number  int // of the worker
	share   *listen.Share
	saved   time.Time // when tenures were handed over

	own, all uint64 // rows at the latest update, of the worker and of all workers
}

// large reports whether a source takes more than its part.
func (p *press) large(source flow.Addr) bool { return p.share.Large(source.Netip()) }

// settled reports whether a source has been heard for long.
func (p *press) settled(source flow.Addr) bool { return p.share.Settled(source.Netip()) }

// restore gives sources the tenures of the last run.
func (p *press) restore() {
	if f := p.workers.tenures; f != nil {
		p.share.Restore(f.earlier)
	}
}

// saveNow hands the tenures over to be saved, if it is time. It is called by the worker's goroutine.
func (p *press) saveNow(now time.Time) {
	if now.Sub(p.saved) >= p.workers.cfg.Decoder.SaveTemplates {
		p.save(now)
	}
}

func (p *press) save(now time.Time) {
	if f := p.workers.tenures; f != nil {
		f.put(p.number, p.share.Tenures(now))
		p.saved = now
	}
}

// update is called by the worker's goroutine after each block and about once a second.
func (p *press) update() {
	own, all := p.worker.Rows(), p.workers.rows()
	ownMore, allMore := own-p.own, all-p.all
	p.own, p.all = own, all
	full := p.outputs.fullness()
	if ownMore*uint64(len(p.workers.all)) < allMore {
		full = 0 // another worker makes more of the rows
	}
	p.share.Press(full)
}
