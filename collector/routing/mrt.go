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

// MRTFile configures an MRT file (RFC 6396) whose routes are used. In the routing table the file is a router named
// "mrt:" and Name. If Name is an address, exporters with that address find the file's routes.
type MRTFile struct {
	Name, File string
	// Peer selects the routes of one peer. If invalid, the routes of all peers are used, of each prefix the best.
	Peer netip.Addr
}

const (
	rankMRT = 7 // after all BMP views
	// maxFileBytes is the maximum decompressed size of an MRT file.
	maxFileBytes = 64 << 30
	lookEvery    = 10 * time.Second
)

// mrtFile is an MRT file and its routes. One goroutine reads the file; only the writer uses sources.
type mrtFile struct {
	station *Station
	MRTFile
	sources map[mrt.Peer]*mrtSource
	shown   atomic.Pointer[MRTStats]
}

// mrtSource holds the routes of one peer of a file.
type mrtSource struct {
	source  *rib.Source
	batch   *route.Batch // filled by the goroutine that reads the file
	touched bool         // by the latest record
	counted int          // bytes of the batch in loading.pending
	load    int          // number of the load in which the peer was last found
	refused uint64       // routes left out because the routing table is full
}

// loading is a file that is being read.
type loading struct {
	*mrtFile
	number  int // of the load
	used    map[mrt.Peer]*mrtSource
	touched []*mrtSource // by the latest record
	pending int          // bytes of all batches
}

const (
	maxPending  = 32 << 20 // bytes of the batches of all peers
	changeBytes = 64       // about what a change takes
)

// MRTStats describes an MRT file and the last attempt to load it.
type MRTStats struct {
	Name, File string
	Loaded     time.Time // when it was last loaded without an error; zero: never
	Peers      int
	mrt.Counts
	Refused uint64 // routes left out because the routing table is full
	Err     string // why the last attempt failed; "" if it did not
}

// follow loads the file now and whenever it changes.
func (s *Station) follow(f *mrtFile) {
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
		case <-s.life.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// loadFile loads a file. When it is complete, routes of an earlier load that are no longer in the file are removed.
// After an error all of them stay.
func (s *Station) loadFile(f *mrtFile) {
	started := time.Now()
	stats := MRTStats{Name: f.Name, File: f.File, Loaded: f.shown.Load().Loaded}
	load := 0
	s.run(func() { load = f.beginLoad() })
	err := f.read(&stats, load)
	if err != nil {
		if !s.stopping() {
			stats.Err = err.Error()
			s.Log.Warn("an MRT file cannot be read: the routes loaded before stay in use",
				zap.String("file", f.File), zap.Error(err))
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

// decompressed returns a reader of a file's decompressed bytes, and a function that releases it. The first bytes tell
// the compression: gzip, bzip2, zstd or none.
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

// openMRT returns a reader of an MRT file, and a function that releases it. h is as for mrt.NewReader.
func openMRT(path string, h *route.Hasher) (*mrt.Reader, func(), error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	plain, done, err := decompressed(bufio.NewReaderSize(in, 1<<18))
	if err != nil {
		_ = in.Close()
		return nil, nil, err
	}
	r := mrt.NewReader(bufio.NewReaderSize(io.LimitReader(plain, maxFileBytes), 1<<18), h)
	return r, func() {
		done()
		_ = in.Close()
	}, nil
}

// read reads the file and passes its routes to the writer.
func (f *mrtFile) read(stats *MRTStats, load int) error {
	s := f.station
	r, done, err := openMRT(f.File, s.rib.Hasher())
	if err != nil {
		return err
	}
	defer done()
	l := &loading{mrtFile: f, number: load, used: map[mrt.Peer]*mrtSource{}}
	for {
		err = r.Next(l.batchOf)
		if err != nil || s.stopping() {
			break
		}
		l.flushFull()
	}
	l.flushAll()
	stats.Counts, stats.Peers = r.Counts, len(l.used)
	switch {
	case s.stopping():
		return errStopping
	case errors.Is(err, io.EOF) && r.Routes == 0:
		return fmt.Errorf("%w: the file has no routes", mrt.ErrFormat)
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// errStopping ends the loading of a file because the station stops.
var errStopping = errors.New("the collector stops")

// batchOf returns the batch for a peer's routes. It is nil if the peer's routes are not used.
func (l *loading) batchOf(p *mrt.Peer) *route.Batch {
	if l.Peer.IsValid() && p.Address.Netip() != l.Peer {
		return nil
	}
	key := *p
	key.ID = 0 // BGP4MP records do not have the identifier
	x := l.used[key]
	if x == nil {
		if len(l.used) >= maxPeers {
			return nil
		}
		l.station.run(func() { x = l.sourceOf(key, p.ID, l.number) })
		l.used[key] = x
	}
	if x.batch == nil {
		x.batch = &route.Batch{Decode: bgp.Decode}
	}
	if !x.touched {
		x.touched = true
		l.touched = append(l.touched, x)
	}
	return x.batch
}

// flushFull hands over the batches that the latest record has filled, and all if they take too much memory.
func (l *loading) flushFull() {
	for _, x := range l.touched {
		x.touched = false
		bytes := x.batch.Bytes() + changeBytes*len(x.batch.Changes)
		l.pending += bytes - x.counted
		x.counted = bytes
		if full(x.batch) {
			l.flush(x)
		}
	}
	l.touched = l.touched[:0]
	if l.pending > maxPending {
		l.flushAll()
	}
}

// flushAll hands over all batches, and gives their memory up.
func (l *loading) flushAll() {
	for _, x := range l.used {
		l.flush(x)
		x.batch, x.touched = nil, false
	}
}

// flush has the writer apply a peer's batch, and waits until it has.
func (l *loading) flush(x *mrtSource) {
	l.pending -= x.counted
	x.counted = 0
	if x.batch == nil || len(x.batch.Changes) == 0 {
		return
	}
	l.station.run(func() {
		refused, _, _ := x.source.Apply(x.batch)
		x.refused += uint64(refused)
	})
	x.batch.Reset()
}

// beginLoad returns the number of a new load. Only the writer calls it.
func (f *mrtFile) beginLoad() int {
	load := 1
	for _, x := range f.sources {
		load = max(load, x.load+1)
	}
	return load
}

// sourceOf returns the source of a peer's routes in this load. Routes of earlier loads become stale. Only the writer
// calls it.
func (f *mrtFile) sourceOf(key mrt.Peer, id uint32, load int) *mrtSource {
	x := f.sources[key]
	if x == nil {
		router := f.station.rib.Router("mrt:"+f.Name, true)
		x = &mrtSource{source: router.NewSource(rankMRT)}
		x.source.Label = rib.Label{Protocol: "MRT", Peer: key.Address.Netip(), AS: key.AS, File: f.File}
		x.source.Neighbor = id
		f.sources[key] = x
		f.station.addressesChanged = true
	}
	if x.load != load {
		x.load = load
		x.source.Begin()
	}
	return x
}

// endLoad removes the routes that were not in this load. Only the writer calls it.
func (f *mrtFile) endLoad(load int, stats *MRTStats) {
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

// addMRTAddresses adds the files that are named by an address, unless a router already has that address.
func (s *Station) addMRTAddresses(identifiers map[flow.Addr]*rib.Router) {
	for _, f := range s.mrtFiles {
		a, err := netip.ParseAddr(f.Name)
		if r := s.rib.Router("mrt:"+f.Name, false); err == nil && r != nil && identifiers[flow.AddrFrom(a)] == nil {
			identifiers[flow.AddrFrom(a)] = r
		}
	}
}
