package routing

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/diskfile"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// MRTFile is a file of routes, which is a router with a name of its own: "mrt:" and Name. A Name that is an address is
// that of the router whose routes these are.
type MRTFile struct {
	Name, File string
	Peer       netip.Addr // whose routes are taken; invalid: those of all peers, the best of each prefix
}

const (
	rankFile = 7 // behind the views of BMP
	// maxFileBytes bounds what a file may become when it is decompressed.
	maxFileBytes = 64 << 30
	// lookEvery is how often files are looked at for a change.
	lookEvery = 10 * time.Second
)

// file is an MRT file and its routes. Its goroutine reads it; sources are the writer's.
type file struct {
	station *Station
	MRTFile
	sources map[mrt.Peer]*fileSource
	shown   atomic.Pointer[MRTStats]
}

// fileSource is the routes of a peer of a file.
type fileSource struct {
	source  *rib.Source
	batch   *route.Batch // the reader's
	load    int          // by which it was seen
	refused uint64
}

// MRTStats is what is known of an MRT file.
type MRTStats struct {
	Name, File string
	Loaded     time.Time // zero: not yet
	Peers      int
	mrt.Counts
	Refused uint64 // routes that did not fit in the table
	Err     string // of the latest attempt
}

// follow loads the file now and whenever it changes.
func (s *Station) follow(f *file) {
	var known os.FileInfo
	for wait := time.NewTicker(s.LookEvery); ; {
		info, err := os.Stat(f.File)
		if err == nil && diskfile.Changed(known, info) ||
			err != nil && (known != nil || f.shown.Load().Err == "") {
			known = info
			if err != nil {
				known = nil
			}
			s.loadFile(f)
		}
		select {
		case <-s.stopped:
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// loadFile loads a file. Routes of before that are not in it go at the end; after an error they stay.
func (s *Station) loadFile(f *file) {
	started := time.Now()
	stats := MRTStats{Name: f.Name, File: f.File}
	if was := f.shown.Load(); was != nil {
		stats.Loaded = was.Loaded
	}
	load := 0
	s.run(func() { load = f.beginLoad() })
	err := f.read(&stats, load)
	if err != nil {
		if !s.stopping() {
			stats.Err = err.Error()
			s.Log.Warn("an MRT file cannot be read: its routes are those of before", zap.String("file", f.File),
				zap.Error(err))
		}
	} else {
		stats.Loaded = time.Now()
		s.run(func() { f.endLoad(load, &stats) })
		s.Log.Info("the routes of an MRT file are loaded", zap.String("file", f.File), zap.Int("peers", stats.Peers),
			zap.Uint64("routes", stats.Routes), zap.Uint64("unreadable records", stats.Bad),
			zap.Duration("took", time.Since(started)))
	}
	f.shown.Store(&stats)
}

// decompressed is what a file holds, by its first bytes.
func decompressed(in *bufio.Reader) (io.Reader, func(), error) {
	head, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(in)
		return r, func() {}, err
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(in), func() {}, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(in, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	}
	return in, func() {}, nil
}

func (f *file) read(stats *MRTStats, load int) error {
	in, err := os.Open(f.File)
	if err != nil {
		return err
	}
	defer in.Close()
	plain, done, err := decompressed(bufio.NewReaderSize(in, 1<<18))
	if err != nil {
		return err
	}
	defer done()
	s := f.station
	r := mrt.NewReader(bufio.NewReaderSize(io.LimitReader(plain, maxFileBytes), 1<<18), s.rib.Hasher())
	used := map[mrt.Peer]*fileSource{}
	for {
		err = r.Next(func(p *mrt.Peer) *route.Batch { return f.batchOf(used, p, load) })
		if err != nil || s.stopping() {
			break
		}
		for _, x := range used {
			if x.batch != nil && len(x.batch.Changes) >= batchRoutes {
				f.hand(x)
			}
		}
	}
	for _, x := range used {
		f.hand(x)
	}
	stats.Counts, stats.Peers = r.Counts, len(used)
	switch {
	case s.stopping():
		return errStopping
	case errors.Is(err, io.EOF) && r.Routes == 0:
		return fmt.Errorf("%w: no route is in it", mrt.ErrFormat)
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// errStopping ends the loading of a file because the station stops.
var errStopping = errors.New("the collector stops")

// batchOf is the batch for a peer's routes; nil: they are not wanted.
func (f *file) batchOf(used map[mrt.Peer]*fileSource, p *mrt.Peer, load int) *route.Batch {
	if f.Peer.IsValid() && p.Address.Netip() != f.Peer {
		return nil
	}
	key := *p
	key.ID = 0 // messages do not have it
	x := used[key]
	if x == nil {
		if len(used) >= maxPeers {
			return nil
		}
		f.station.run(func() { x = f.sourceOf(key, p.ID, load) })
		used[key] = x
	}
	if x.batch == nil {
		x.batch = &route.Batch{Decode: bgp.Decode}
	}
	return x.batch
}

// hand gives a peer's batch to the writer.
func (f *file) hand(x *fileSource) {
	if x.batch == nil || len(x.batch.Changes) == 0 {
		return
	}
	b := x.batch
	done := make(chan struct{})
	f.station.items <- item{do: func() {
		defer close(done)
		refused, _, _ := x.source.Apply(b)
		x.refused += uint64(refused)
	}}
	<-done
	b.Reset()
}

// beginLoad, sourceOf and endLoad are the writer's.
func (f *file) beginLoad() int {
	load := 1
	for _, x := range f.sources {
		load = max(load, x.load+1)
	}
	return load
}

func (f *file) sourceOf(key mrt.Peer, id uint32, load int) *fileSource {
	x := f.sources[key]
	if x == nil {
		router := f.station.rib.Router("mrt:"+f.Name, true)
		x = &fileSource{source: router.NewSource(rankFile)}
		x.source.Neighbor = id
		f.sources[key] = x
		f.station.moved = true
	}
	if x.load != load {
		x.load = load
		x.source.Begin()
	}
	return x
}

func (f *file) endLoad(load int, stats *MRTStats) {
	for key, x := range f.sources {
		if x.load != load {
			x.source.Remove()
			delete(f.sources, key)
		} else {
			x.source.CompleteAll()
		}
	}
	stats.Peers = len(f.sources)
	for _, x := range f.sources {
		stats.Refused += x.refused
	}
}

// addFiles adds the addresses of routers whose routes are in files.
func (s *Station) addFiles(identifiers map[flow.Addr]*rib.Router) {
	for _, f := range s.files {
		a, err := netip.ParseAddr(f.Name)
		if r := s.rib.Router("mrt:"+f.Name, false); err == nil && r != nil && identifiers[flow.AddrFrom(a)] == nil {
			identifiers[flow.AddrFrom(a)] = r
		}
	}
}
