package explore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/explore/filter"
)

// Flow is one row of data_flow. Its texts can be used as values in filters. "" means that a value is not known.
type Flow struct {
	From, To         time.Time
	Device, Protocol string
	Source, Dest     End
	In, Out          string // interfaces
	Bytes, Packets   uint64 // multiplied by the sampling rate
}

// End is one end of a flow.
type End struct {
	Address string
	Port    uint16
	AS      string // such as AS64500
	Name    string // name of the AS
}

// Label returns the address with its port, or without one if the flow has none, as those of ICMP.
func (x *End) Label() string {
	if x.Port == 0 {
		return x.Address
	}
	if strings.Contains(x.Address, ":") {
		return "[" + x.Address + "]:" + strconv.Itoa(int(x.Port))
	}
	return x.Address + ":" + strconv.Itoa(int(x.Port))
}

// Rate returns the mean rate of the flow, in bits per second; 0 if it has no duration.
func (f *Flow) Rate() float64 {
	if d := f.To.Sub(f.From); d > 0 {
		return float64(f.Bytes) * 8 / d.Seconds()
	}
	return 0
}

// flows reads the largest single flows into the answer.
func (e *Explorer) flows(ctx context.Context, a *Answer, s span) error {
	query, err := e.Planner.flows(&a.Question, s, e.Now())
	if err != nil {
		return err
	}
	a.Query = query
	a.Queries.ask("single flows", query)
	if err := e.run(ctx, query, func(rows driver.Rows) error {
		var f Flow
		var from, to int64
		var source, dest uint32
		if err := rows.Scan(&from, &to, &f.Device, &f.Source.Address, &f.Source.Port, &source, &f.Dest.Address,
			&f.Dest.Port, &dest, &f.Protocol, &f.In, &f.Out, &f.Bytes, &f.Packets); err != nil {
			return err
		}
		f.From, f.To = time.UnixMilli(from).UTC(), time.UnixMilli(to).UTC()
		f.Source.AS, f.Dest.AS = asText(source), asText(dest)
		a.Flows = append(a.Flows, f)
		return nil
	}); err != nil {
		return err
	}
	var numbers []string
	for i := range a.Flows {
		for _, end := range []*End{&a.Flows[i].Source, &a.Flows[i].Dest} {
			if n := strings.TrimPrefix(end.AS, "AS"); n != "" && !slices.Contains(numbers, n) {
				numbers = append(numbers, n)
			}
		}
	}
	names, err := e.names(ctx, a, e.Planner.dimensions["src.as"], numbers)
	for i := range a.Flows {
		for _, end := range []*End{&a.Flows[i].Source, &a.Flows[i].Dest} {
			end.Name = names[strings.TrimPrefix(end.AS, "AS")]
		}
	}
	return err
}

func asText(n uint32) string {
	if n == 0 {
		return ""
	}
	return "AS" + strconv.FormatUint(uint64(n), 10)
}

// flows returns the query for single flows: the largest by bytes or packets, or the newest if the unit is flows.
func (p *Planner) flows(q *Question, s span, now time.Time) (*Query, error) {
	alone := *q
	alone.By = nil
	sel, err := p.selection(&alone, s, now, false)
	if err != nil {
		return nil, err
	}
	largest, ok := map[Unit]string{Packets: "packet_count", Flows: ""}[q.Unit]
	if !ok {
		largest = "bit_count"
	}
	top, order := sel.params.number(uint64(q.Top)), "start_time DESC, src_ip, dst_ip, src_port, dst_port"
	where := sel.where
	if largest != "" {
		where += sel.notSmaller(largest, top)
		order = largest + " DESC, " + order
	}
	address := func(column string) string { return fmt.Sprintf(showAddress, column) }
	return &Query{"SELECT toUnixTimestamp64Milli(start_time) AS from_ms, toUnixTimestamp64Milli(end_time) AS to_ms, " +
		"toString(device_id) AS device, " + address("src_ip") + " AS source, toUInt16(ifNull(src_port, 0)) AS " +
		"source_port, toUInt32(src_as_id) AS source_as, " + address("dst_ip") + " AS destination, " +
		"toUInt16(ifNull(dst_port, 0)) AS destination_port, toUInt32(dst_as_id) AS destination_as, " +
		"toString(protocol) AS proto, toString(ifNull(in_interface_id, '')) AS interface_in, " +
		"toString(ifNull(out_interface_id, '')) AS interface_out, toUInt64(intDiv(bit_count, 8)) AS bytes, " +
		"toUInt64(packet_count) AS packets\nFROM " + sel.from("") + "\nWHERE " + where + "\nORDER BY " + order +
		"\nLIMIT " + top, sel.params, sel.source}, nil
}

// notSmaller returns a condition on flows that the largest of several days meet: they are not smaller than those of the
// last whole day (UTC), which is one partition. By the index of the column, most of the others are then not read. It is
// "" for fewer days, and has AND in front.
func (s *selection) notSmaller(column, top string) string {
	const day = 24 * time.Hour
	if s.asked.To.Sub(s.asked.From) < 4*day {
		return ""
	}
	last, midnight := *s, s.asked.To.Truncate(day)
	last.read(s.source, [][2]time.Time{{midnight.Add(-day), midnight}})
	return " AND " + column + " >= (SELECT if(count() < " + top + ", 0, min(" + column + ")) FROM (SELECT " + column +
		" FROM " + s.from("") + " WHERE " + last.where + " ORDER BY " + column + " DESC LIMIT " + top + "))"
}

// Condition returns a filter for the flows between the same two addresses with the same application port.
func (f *Flow) Condition() string {
	all := []string{"src.ip = " + filter.Quote(f.Source.Address), "dst.ip = " + filter.Quote(f.Dest.Address)}
	if f.Protocol != "" {
		all = append(all, "proto = "+filter.Quote(f.Protocol))
	}
	return strings.Join(all, " and ")
}
