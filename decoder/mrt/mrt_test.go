package mrt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

var hasher = route.NewHasher()

func addr(text string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(text)) }

func prefix(text string) route.Prefix { return route.PrefixFrom(netip.MustParsePrefix(text)) }

// readAll is a file in words, by peer.
func readAll(t testing.TB, data []byte) (all []string, r *Reader, err error) {
	t.Helper()
	r = NewReader(bytes.NewReader(data), hasher)
	for {
		batches := map[Peer]*route.Batch{}
		err = r.Next(func(p *Peer) *route.Batch {
			if batches[*p] == nil {
				batches[*p] = &route.Batch{Decode: bgp.Decode}
			}
			return batches[*p]
		})
		var lines []string
		for p, b := range batches {
			for i := range b.Changes {
				c := &b.Changes[i]
				line := fmt.Sprintf("%s as %d: %s %s rd %s id %d", p.Address, p.AS, c.Class, c.Prefix, c.RD, c.PathID)
				if c.Bundle == route.Withdrawn {
					lines = append(lines, line+" withdrawn")
					continue
				}
				var a route.Attributes
				if err := b.Decode(b.Bundles[c.Bundle].Data, &a); err != nil {
					t.Fatal(err)
				}
				pref := ""
				if a.HasLocalPref {
					pref = fmt.Sprint(a.LocalPref)
				}
				lines = append(lines, fmt.Sprintf("%s via %s path %s pref %s med %d comms %d %d %d origin %d", line,
					a.NextHop,
					route.AppendPath(nil, a.Path, ' '), pref, a.MED, a.Communities, a.Extended, a.Large, a.Origin))
			}
		}
		slices.Sort(lines)
		all = append(all, lines...)
		if err != nil {
			return all, r, err
		}
	}
}

var peers = []Peer{{1, addr("192.0.2.1"), 64500}, {2, addr("2001:db8::2"), 4200000000}}

// example is a dump with all that can be in one, and what is in it.
func example(t testing.TB) ([]byte, []string) {
	var b bytes.Buffer
	w, err := NewWriter(&b, time.Unix(1, 0), 9, "view", peers)
	if err != nil {
		t.Fatal(err)
	}
	long := route.Segment{Kind: route.Sequence}
	for i := range uint32(300) {
		long.AS = append(long.AS, i+1)
	}
	plain := &route.Attributes{NextHop: addr("192.0.2.9"),
		Path: []route.Segment{{Kind: route.Sequence, AS: []uint32{1, 2}}}}
	full := &route.Attributes{Origin: route.Incomplete, NextHop: addr("2001:db8::9"), HasMED: true, MED: 7,
		HasLocalPref: true, LocalPref: 200, Communities: []uint32{1, 2}, Extended: []uint64{3},
		Large: []route.Large{{Global: 4}},
		Path:  []route.Segment{{Kind: route.Sequence, AS: []uint32{4200000000}}, {Kind: route.Set, AS: []uint32{5, 6}}}}
	many := &route.Attributes{NextHop: addr("192.0.2.9"), Path: []route.Segment{long}}
	for i := range uint32(200) {
		many.Communities = append(many.Communities, i)
	}
	for _, x := range []struct {
		class   route.Class
		rd      route.RD
		prefix  string
		entries []Entry
	}{
		{route.Unicast, 0, "10.0.0.0/8", []Entry{{0, 0, plain}, {1, 0, full}}},
		{route.Unicast, 0, "0.0.0.0/0", []Entry{{0, 0, many}}},
		{route.Unicast, 0, "10.0.0.1/32", []Entry{{0, 1, plain}, {0, 2, full}}},
		{route.Unicast, 0, "2001:db8::/32", []Entry{{1, 0, full}}},
		{route.Unicast, 0, "2001:db8::/33", []Entry{{1, 3, plain}}},
		{route.Labelled, 0, "10.0.0.0/9", []Entry{{0, 0, plain}}},
		{route.VPN, 64500<<32 | 7, "10.0.0.0/10", []Entry{{0, 0, plain}}},
		{route.VPN, 64500<<32 | 7, "2001:db8::/34", []Entry{{0, 5, full}}},
	} {
		if err := w.Write(x.class, x.rd, prefix(x.prefix), x.entries); err != nil {
			t.Fatal(err)
		}
	}
	p := "192.0.2.1 as 64500: "
	q := "2001:db8::2 as 4200000000: "
	none := " via 192.0.2.9 path 1 2 pref  med 0 comms [] [] [] origin 0"
	all := " via 2001:db8::9 path 4200000000 {5,6} pref 200 med 7 comms [1 2] [3] [{4 0 0}] origin 2"
	var hundreds []string
	for i := range 200 {
		hundreds = append(hundreds, fmt.Sprint(i))
	}
	// A segment of 300 has become two, which say the same.
	path := strings.TrimSuffix(string(route.AppendPath(nil, []route.Segment{long}, ' ')), "")
	return b.Bytes(), []string{
		p + "unicast 10.0.0.0/8 rd 0:0:0 id 0" + none, q + "unicast 10.0.0.0/8 rd 0:0:0 id 0" + all,
		p + "unicast 0.0.0.0/0 rd 0:0:0 id 0 via 192.0.2.9 path " + path + " pref  med 0 comms [" +
			strings.Join(hundreds, " ") + "] [] [] origin 0",
		p + "unicast 10.0.0.1/32 rd 0:0:0 id 1" + none, p + "unicast 10.0.0.1/32 rd 0:0:0 id 2" + all,
		q + "unicast 2001:db8::/32 rd 0:0:0 id 0" + all, q + "unicast 2001:db8::/33 rd 0:0:0 id 3" + none,
		p + "labelled 10.0.0.0/9 rd 0:0:0 id 0" + none, p + "vpn 10.0.0.0/10 rd 0:64500:7 id 0" + none,
		p + "vpn 2001:db8::/34 rd 0:64500:7 id 5" + all,
	}
}

// What is written is read.
func TestDump(t *testing.T) {
	data, want := example(t)
	got, r, err := readAll(t, data)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Counts != (Counts{Records: 9, Routes: 10}) {
		t.Errorf("%+v", r.Counts)
	}
	if n := r.Reasons(); n != [bgp.Reasons]uint64{} {
		t.Errorf("reasons %v", n)
	}
}

func record(t testing.TB, kind, sub uint16, body string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(body, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	h := binary.BigEndian.AppendUint32(nil, 1)
	h = binary.BigEndian.AppendUint16(h, kind)
	h = binary.BigEndian.AppendUint16(h, sub)
	return append(binary.BigEndian.AppendUint32(h, uint32(len(b))), b...)
}

const (
	marker  = "ffffffffffffffffffffffffffffffff"
	update4 = marker + "0031 02 0000 0018 40010100 40020a02020000fbf50000fbf6 400304c0000209 080a"
	update2 = marker + "002d 02 0000 0014 40010100 4002060202fbf5fbf6 400304c0000209 080a"
	updateP = marker + "0035 02 0000 0018 40010100 40020a02020000fbf50000fbf6 400304c0000209 00000007 080a"
	ends4   = "0000 0001 c0000201 c0000202"
	table   = "00000009 0000 0001 02 00000001 c0000201 0000fbf4"
)

func TestMessages(t *testing.T) {
	route10 := "192.0.2.1 as 64500: unicast 10.0.0.0/8 rd 0:0:0 id 0 via 192.0.2.9 path 64501 64502 pref  med 0 " +
		"comms [] [] [] origin 0"
	tests := []struct {
		name string
		in   []byte
		want []string
		n    Counts
	}{
		{"4-byte AS numbers", record(t, 16, 4, "0000fbf4 0000fbf4"+ends4+update4), []string{route10},
			Counts{1, 1, 0, 0}},
		{"2-byte AS numbers", record(t, 16, 1, "fbf4 fbf4"+ends4+update2), []string{route10}, Counts{1, 1, 0, 0}},
		{"with microseconds", record(t, 17, 4, "00000005 0000fbf4 0000fbf4"+ends4+update4), []string{route10},
			Counts{1, 1, 0, 0}},
		{"path identifiers", record(t, 16, 9, "0000fbf4 0000fbf4"+ends4+updateP),
			[]string{strings.Replace(route10, "id 0", "id 7", 1)}, Counts{1, 1, 0, 0}},
		{"IPv6 session", record(t, 16, 4, "0000fbf4 0000fbf4 0000 0002 20010db8000000000000000000000001"+
			"20010db8000000000000000000000002"+update4),
			[]string{strings.Replace(route10, "192.0.2.1", "2001:db8::1", 1)},
			Counts{1, 1, 0, 0}},
		{"sent by the router itself", record(t, 16, 7, "0000fbf4 0000fbf4"+ends4+update4), nil, Counts{1, 0, 1, 0}},
		{"a KEEPALIVE", record(t, 16, 4, "0000fbf4 0000fbf4"+ends4+marker+"0013 04"), nil, Counts{1, 0, 1, 0}},
		{"a state change", record(t, 16, 5, "0000"), nil, Counts{1, 0, 1, 0}},
		{"another type", record(t, 48, 1, "0000"), nil, Counts{1, 0, 1, 0}},
		{"multicast", slices.Concat(record(t, 13, 1, table), record(t, 13, 3, "00")), nil, Counts{2, 0, 1, 0}},
		{"a family that is not read", slices.Concat(record(t, 13, 1, table), record(t, 13, 6, "00000000 0019 41 00")),
			nil,
			Counts{2, 0, 1, 0}},
		{"cut short", record(t, 16, 4, "0000fbf4 0000fbf4"+ends4+marker+"0030 02 0000 0018"), nil, Counts{1, 0, 0, 1}},
		{"a peer that is not there", record(t, 13, 2, "00000000 080a 0001 0003 00000000 0000"), nil,
			Counts{1, 0, 0, 1}},
		{"attributes over the end", slices.Concat(record(t, 13, 1, table),
			record(t, 13, 2, "00000000 080a 0001 0000 00000000 0009 4001")), nil, Counts{2, 0, 0, 1}},
		{"a prefix of 33 bits", slices.Concat(record(t, 13, 1, table), record(t, 13, 2, "00000000 210a010203 0000")),
			nil,
			Counts{2, 0, 0, 1}},
		{"peers cut short", record(t, 13, 1, "00000009 0000 0002 02 00000001 c0000201 0000fbf4"), nil,
			Counts{1, 0, 0, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, r, err := readAll(t, test.in)
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if r.Counts != test.n {
				t.Errorf("%+v, want %+v", r.Counts, test.n)
			}
		})
	}
}

func TestNotMRT(t *testing.T) {
	data, _ := example(t)
	for name, b := range map[string][]byte{"text": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"cut":                  data[:len(data)-1],
		"a header that is cut": data[:5]} {
		if _, _, err := readAll(t, b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	data, _ := example(f)
	f.Add(data)
	for _, b := range [][]byte{record(f, 16, 4, "0000fbf4 0000fbf4"+ends4+update4),
		record(f, 17, 9, "00000005 0000fbf4 0000fbf4"+ends4+updateP), record(f, 13, 1, table)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, r, _ := readAll(t, data)
		if uint64(len(all)) > r.Routes || r.Routes > uint64(len(data)) {
			t.Fatalf("%d routes of %d, from %d bytes", len(all), r.Routes, len(data))
		}
	})
}
