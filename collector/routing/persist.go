package routing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/diskfile"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// savedSource describes a source of routes in the file of saved routes, whose format is that of enrich/rib. One field
// is set. After a restart the source's routes are stale: they are used until the router connects again, at most for
// KeepStale.
type savedSource struct {
	BGP *savedNeighbor `json:"bgp,omitempty"`
	BMP *savedView     `json:"bmp,omitempty"`
}

type savedNeighbor struct {
	Address netip.Addr `json:"address"`
	ID      uint32     `json:"id"`
	AS      uint32     `json:"as"`
}

type savedView struct {
	Address     netip.Addr `json:"address"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	AS          uint32     `json:"as"`
	IDs         [2]uint32  `json:"ids"`
	Type        uint8      `json:"type"`
	RD          uint64     `json:"rd"`
	Peer        netip.Addr `json:"peer"`
	PeerID      uint32     `json:"peer_id"`
	View        bmp.View   `json:"view"`
}

// maxLimboBytes is the most memory that removed routes may hold while routes are saved. Beyond it saving is abandoned,
// so that the memory can be reused.
const maxLimboBytes = 64 << 20

// descriptions describes all sources except MRT files, which are read again. Only the writer calls it.
func (s *Station) descriptions() (all []rib.Description) {
	add := func(source *rib.Source, d savedSource) {
		text, err := json.Marshal(d)
		if err == nil {
			all = append(all, rib.Description{Source: source, Text: text})
		}
	}
	for key, p := range s.peers {
		add(p.source, savedSource{BGP: &savedNeighbor{key.address, key.id, p.source.Router.AS.Load()}})
	}
	for key, m := range s.bmpRouters {
		for at, t := range m.tables {
			add(t.source, savedSource{BMP: &savedView{Address: key.address, Name: key.name,
				Description: m.about.SysDescr, AS: m.as, IDs: m.ids, Type: at.peer.Type, RD: uint64(at.peer.RD),
				Peer: at.peer.Address.Netip(), PeerID: t.source.Neighbor, View: at.view}})
		}
	}
	return all
}

// savedSource adds the source that a description names, as one whose session has ended. It returns nil if the
// description is invalid or the router may no longer connect. Only the writer calls it.
func (s *Station) savedSource(text []byte) *rib.Source {
	var d savedSource
	if err := json.Unmarshal(text, &d); err != nil {
		return nil
	}
	now := time.Now()
	switch {
	case d.BGP != nil && d.BGP.Address.IsValid():
		key := peerKey{d.BGP.Address, d.BGP.ID}
		if s.peers[key] != nil || len(s.peers) >= maxSessions || !within(s.Neighbors, key.address) {
			return nil
		}
		p := s.newPeer(key, d.BGP.AS)
		p.why, p.since, p.until = savedWhy, now, now.Add(s.KeepStale)
		p.publish()
		return p.source
	case d.BMP != nil && d.BMP.Address.IsValid() && d.BMP.View < bmp.Views:
		return s.savedTable(d.BMP, now)
	}
	return nil
}

const savedWhy = "the collector has restarted"

// savedTable adds the table of a saved view, and its router. showSaved publishes it: a router can have thousands of
// tables, and publishing it looks at all of them.
func (s *Station) savedTable(d *savedView, now time.Time) *rib.Source {
	key := bmpRouterKey{d.Address, d.Name}
	m := s.bmpRouters[key]
	if m == nil {
		if len(s.bmpRouters) >= maxBMPRouters || !s.mayReport(d.Address) {
			return nil
		}
		m = s.newBMPRouter(key)
		m.about, m.as, m.ids = bmp.Information{SysName: d.Name, SysDescr: d.Description}, d.AS, d.IDs
		m.why, m.since, m.until = savedWhy, now, now.Add(s.BMP.KeepStale)
	}
	at := viewKey{bmp.PeerKey{Type: d.Type, RD: route.RD(d.RD), Address: flow.AddrFrom(d.Peer)}, d.View}
	if m.tables[at] != nil || s.views >= maxViews {
		return nil
	}
	t := s.newTable(m, at)
	t.source.Neighbor = d.PeerID
	return t.source
}

// showSaved publishes the routers that savedSource has added, and the addresses by which exporters find them.
func (s *Station) showSaved() {
	for _, m := range s.bmpRouters {
		m.publish()
	}
	s.updateAddresses()
}

// mayReport reports whether a BMP router of this address can have a session. A host name of Connect can be any address.
func (s *Station) mayReport(address netip.Addr) bool {
	return within(s.BMP.Allowed, address) || slices.ContainsFunc(s.BMP.Connect, func(to string) bool {
		host, _, _ := net.SplitHostPort(to)
		a, err := netip.ParseAddr(host)
		return err != nil || a.Unmap() == address
	})
}

// load loads the routes that the last run saved. Only the writer calls it.
func (s *Station) load() {
	if s.File == "" {
		return
	}
	started := time.Now()
	file, err := os.Open(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var l rib.Loaded
	if err == nil {
		defer file.Close()
		l, err = s.rib.Load(file, s.savedSource, s.showSaved)
	}
	if err != nil {
		s.Log.Warn("the routes saved by the last run cannot be used", zap.String("file", s.File), zap.Error(err))
		s.forgetAll()
		return
	}
	s.Log.Info("the routes of the last run are used until their routers connect again", zap.Int64("routes", l.Routes),
		zap.Int64("left out", l.LeftOut), zap.Time("saved", l.Saved), zap.Duration("took", time.Since(started)))
}

// forgetAll removes all neighbours and routers after a load that failed.
func (s *Station) forgetAll() {
	clear(s.peers)
	clear(s.bmpRouters)
	s.views = 0
	s.updateAddresses()
}

// keepSaved saves the routes every SaveEvery until the station stops.
func (s *Station) keepSaved() {
	timer := time.NewTicker(s.SaveEvery)
	defer timer.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-timer.C:
		}
		var saving *rib.Saving
		s.run(func() { saving = s.rib.Saving(s.descriptions()) })
		s.save(saving, func() bool { return s.stopping() || s.stats.Load().LimboBytes > maxLimboBytes })
	}
}

// save writes the file of saved routes. The old file stays until the new one is complete.
func (s *Station) save(saving *rib.Saving, stop func() bool) {
	started := time.Now()
	n, err := writeFile(s.File, saving, stop)
	switch {
	case err == nil:
		s.saved.Store(time.Now().Unix())
		s.unsaved.Store(nil)
		s.Log.Debug("the routes are saved", zap.Int64("routes", n), zap.Duration("took", time.Since(started)))
	case !s.stopping() || !errors.Is(err, rib.ErrStopped):
		s.unsaved.Store(new(err.Error()))
		s.Log.Warn("the routes are not saved for the next start", zap.String("file", s.File), zap.Error(err))
	}
}

// SaveTo saves the routes to a file, in the format of Options.File.
func (s *Station) SaveTo(file string) error {
	var saving *rib.Saving
	s.run(func() { saving = s.rib.Saving(s.descriptions()) })
	_, err := writeFile(file, saving, func() bool { return false })
	return err
}

func writeFile(path string, saving *rib.Saving, stop func() bool) (n int64, err error) {
	err = diskfile.Replace(path, func(w io.Writer) (err error) {
		n, err = saving.Write(w, stop)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("save routes: %w", err)
	}
	return n, nil
}
