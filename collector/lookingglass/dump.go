package lookingglass

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Dumped counts what Dump wrote.
type Dumped struct {
	Peers, Routes uint64
	// LeftOut counts the routes that were not written: those of sources that appeared during the dump, and those
	// beyond the number of entries that a record can hold.
	LeftOut uint64
}

// dumpPeer is a source of routes and its entry in the peer index table of a dump.
type dumpPeer struct {
	source *rib.Source
	peer   mrt.Peer
}

// Dump writes the routes that look-ups find to out as an MRT file (TABLE_DUMP_V2, RFC 6396 and RFC 8050). router is
// the name or an address of a router; "" means all routers. Dump does not block the writer of the routing table: a
// route that changes during the dump is written in its old or its new form. Each source of routes is one peer of the
// file. Its address is that of the BGP peer for BMP, and that of the session otherwise.
func (g *Glass) Dump(out io.Writer, router string) (d Dumped, err error) {
	if !g.On() {
		return d, errOff
	}
	routers, err := g.routers(router)
	if err != nil {
		return d, err
	}
	if len(routers) == 0 {
		return d, errors.New("no router has routes")
	}
	peers, numbers := dumpPeers(routers)
	d.Peers = uint64(len(peers))
	var buffer bytes.Buffer
	list := make([]mrt.Peer, len(peers))
	for i, p := range peers {
		list[i] = p.peer
	}
	w, err := mrt.NewWriter(&buffer, time.Now(), identifierOf(routers), router, list)
	if err != nil {
		return d, err
	}
	reader := g.Station.RIB().NewReader()
	defer reader.Close()
	for _, group := range tableGroups(routers) {
		for _, v6 := range []bool{false, true} {
			walk := reader.Walk(group, v6)
			for more := true; more; {
				reader.Enter()
				more, err = walk.Next(func(p route.Prefix, all []rib.Entry) error {
					return writePrefix(w, group[0], p, all, numbers, &d)
				})
				reader.Leave()
				if err != nil {
					return d, err
				}
				// Writing may take long, so it is done after Leave.
				if _, err = buffer.WriteTo(out); err != nil {
					return d, err
				}
			}
		}
	}
	_, err = buffer.WriteTo(out)
	return d, err
}

// writePrefix writes the routes to one prefix as one record, and adds them to d. numbers are the sources' indexes in
// the peer index table.
func writePrefix(w *mrt.Writer, t *rib.Table, p route.Prefix, all []rib.Entry, numbers map[*rib.Source]int,
	d *Dumped) error {
	entries := make([]mrt.Entry, 0, len(all))
	for i := range all {
		n, known := numbers[all[i].Source]
		if !known || len(entries) == math.MaxUint16 {
			d.LeftOut++
			continue
		}
		a := &route.Attributes{}
		all[i].Attributes(a)
		entries = append(entries, mrt.Entry{Peer: n, PathID: all[i].PathID, Attributes: a})
	}
	if len(entries) == 0 {
		return nil
	}
	d.Routes += uint64(len(entries))
	return w.Write(t.Class, t.RD, p, entries)
}

// dumpPeers returns the sources of the routers' routes, and the index of each.
func dumpPeers(routers []*rib.Router) (peers []dumpPeer, numbers map[*rib.Source]int) {
	numbers = map[*rib.Source]int{}
	for _, router := range routers {
		for _, s := range router.Sources() {
			if len(peers) == math.MaxUint16 {
				break
			}
			address := s.Label.Session
			if s.Label.Peer.IsValid() {
				address = s.Label.Peer
			}
			numbers[s] = len(peers)
			peers = append(peers, dumpPeer{s, mrt.Peer{ID: s.Neighbor, Address: flow.AddrFrom(address),
				AS: s.Label.AS}})
		}
	}
	return peers, numbers
}

// tableGroups groups the tables of all routers by class and route distinguisher.
func tableGroups(routers []*rib.Router) [][]*rib.Table {
	type key struct {
		class route.Class
		rd    route.RD
	}
	groups := map[key][]*rib.Table{}
	for _, router := range routers {
		for _, t := range tablesOf(router, "") {
			groups[key{t.Class, t.RD}] = append(groups[key{t.Class, t.RD}], t)
		}
	}
	all := make([][]*rib.Table, 0, len(groups))
	for _, g := range groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b []*rib.Table) int {
		return cmp.Or(cmp.Compare(a[0].Class, b[0].Class), cmp.Compare(a[0].RD, b[0].RD))
	})
	return all
}

// identifierOf returns the collector BGP identifier of a dump: the name of its only router, if that is an IPv4
// address, else 0.
func identifierOf(routers []*rib.Router) uint32 {
	if len(routers) == 1 {
		if a, err := netip.ParseAddr(routers[0].Name); err == nil && a.Is4() {
			return binary.BigEndian.Uint32(a.AsSlice())
		}
	}
	return 0
}
