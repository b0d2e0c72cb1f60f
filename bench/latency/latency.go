// Package latency measures how long it takes from a datagram's sending until a query finds its row.
package latency

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Options say where flows go and where their rows are. Timeout has a default, the others have no useful zero value.
type Options struct {
	To      netip.AddrPort
	Conn    driver.Conn
	Table   string // quoted as it must be
	Samples int
	Every   time.Duration // between two flows, on average: they are sent at random times, in no phase with the batches
	Timeout time.Duration // a flow without a row after so long is missing; 0: 30 s
	// Progress, unless it is nil, is told how many rows were found.
	Progress func(found int)
}

// Result is how long it took.
type Result struct {
	Sent    int             `json:"sent"`
	Missing int             `json:"missing"`
	Each    []time.Duration `json:"each_ns"` // in ascending order
	// Resolution is the longest time between two queries: a row may have been there that much earlier.
	Resolution time.Duration `json:"resolution_ns"`
}

// Percentile is the time within which so many percent of the flows that were found had their rows; 0 if none was.
func (r Result) Percentile(p float64) time.Duration {
	if len(r.Each) == 0 {
		return 0
	}
	return r.Each[min(len(r.Each)-1, int(float64(len(r.Each))*p/100))]
}

const (
	defaultTimeout = 30 * time.Second
	lookEvery      = 5 * time.Millisecond // between the end of a query and the next
)

// marker is the run's destination address and its flows' source addresses, of RFC 2544's benchmarking network.
type marker struct{ run [2]byte }

func (m marker) destination() [4]byte  { return [4]byte{198, 19, m.run[0], m.run[1]} }
func (m marker) source(n int) [4]byte  { return [4]byte{198, 18, byte(n >> 8), byte(n)} }
func (m marker) number(a [4]byte) int  { return int(a[2])<<8 | int(a[3]) }
func (m marker) text(a [4]byte) string { return netip.AddrFrom4(a).String() }

// Run sends flows and looks for their rows until all are found, or missing, or ctx ends.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Samples < 1 || o.Samples > 1<<16 {
		return Result{}, fmt.Errorf("%d flows: 1 to 65,536", o.Samples)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(o.To))
	if err != nil {
		return Result{}, fmt.Errorf("send to %s: %w", o.To, err)
	}
	defer conn.Close()
	n := rand.Uint32()
	p := &probe{o: o, marker: marker{[2]byte{byte(n >> 8), byte(n)}}, sent: make(chan time.Time, o.Samples), conn: conn,
		found: map[int]bool{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- p.send(ctx) }()
	result, err := p.look(ctx)
	cancel()
	return result, errors.Join(err, <-failed)
}

// probe is one Run.
type probe struct {
	o      Options
	marker marker
	conn   *net.UDPConn
	sent   chan time.Time // of each flow, in order
	times  []time.Time
	found  map[int]bool
	begun  time.Time
}

// send sends the flows, each in a datagram of its own.
func (p *probe) send(ctx context.Context) error {
	for n := range p.o.Samples {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(float64(p.o.Every) * 2 * rand.Float64())):
		}
		now := time.Now()
		if _, err := p.conn.Write(p.datagram(n, now)); err != nil {
			return fmt.Errorf("send to %s: %w", p.o.To, err)
		}
		p.sent <- now
	}
	return nil
}

// datagram is NetFlow v5 with one flow that ends now.
func (p *probe) datagram(n int, now time.Time) []byte {
	const header, record, uptime = 24, 48, 3_600_000
	b := make([]byte, header+record)
	binary.BigEndian.PutUint16(b, 5)
	binary.BigEndian.PutUint16(b[2:], 1)
	binary.BigEndian.PutUint32(b[4:], uptime)
	binary.BigEndian.PutUint32(b[8:], uint32(now.Unix()))
	binary.BigEndian.PutUint32(b[12:], uint32(now.Nanosecond()))
	binary.BigEndian.PutUint32(b[16:], uint32(n))
	r := b[header:]
	source, destination := p.marker.source(n), p.marker.destination()
	copy(r, source[:])
	copy(r[4:], destination[:])
	binary.BigEndian.PutUint32(r[16:], 1)
	binary.BigEndian.PutUint32(r[20:], 100)
	binary.BigEndian.PutUint32(r[24:], uptime)
	binary.BigEndian.PutUint32(r[28:], uptime)
	const udp = 17
	r[38] = udp
	return b
}

// look asks for the run's rows over and over.
func (p *probe) look(ctx context.Context) (r Result, err error) {
	p.begun = time.Now()
	query := fmt.Sprintf("SELECT src_ip FROM %s WHERE dst_ip = toIPv6('%s') AND start_time >= "+
		"fromUnixTimestamp64Milli(%d, 'UTC')",
		p.o.Table, p.marker.text(p.marker.destination()), p.begun.Add(-time.Second).UnixMilli())
	for last := p.begun; len(r.Each)+r.Missing < p.o.Samples; {
		if err := p.ask(ctx, query, &r); err != nil {
			return r, err
		}
		now := time.Now()
		r.Resolution = max(r.Resolution, now.Sub(last))
		last = now
		p.giveUp(now, &r)
		if p.o.Progress != nil {
			p.o.Progress(len(r.Each))
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
	slices.Sort(r.Each)
	return r, nil
}

// ask notes the rows that are there for the first time.
func (p *probe) ask(ctx context.Context, query string, r *Result) error {
	rows, err := p.o.Conn.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("look for rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var source net.IP
		if err := rows.Scan(&source); err != nil {
			return fmt.Errorf("look for rows: %w", err)
		}
		n := p.marker.number([4]byte(source.To4()))
		p.take(r)
		if !p.found[n] && n < len(p.times) {
			p.found[n] = true
			r.Each = append(r.Each, time.Since(p.times[n]))
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look for rows: %w", err)
	}
	return nil
}

// take notes when flows were sent.
func (p *probe) take(r *Result) {
	for {
		select {
		case at := <-p.sent:
			p.times = append(p.times, at)
			r.Sent++
		default:
			return
		}
	}
}

// giveUp counts the flows that had their time.
func (p *probe) giveUp(now time.Time, r *Result) {
	p.take(r)
	for n, at := range p.times {
		if !p.found[n] && now.Sub(at) > p.o.Timeout {
			p.found[n] = true
			r.Missing++
		}
	}
}
