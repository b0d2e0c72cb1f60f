package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/enrich"
)

// message has the fields of a pmacct message (print or Kafka plugin) that decide where it is counted.
type message struct {
	Exporter string      `json:"peer_ip_src"`
	Src      *string     `json:"ip_src"`
	Dst      *string     `json:"ip_dst"`
	SrcPort  json.Number `json:"port_src"`
	DstPort  json.Number `json:"port_dst"`
	In       json.Number `json:"iface_in"`
	Out      json.Number `json:"iface_out"`
	Start    json.Number `json:"timestamp_start"`
	Arrival  json.Number `json:"timestamp_arrival"`
	Bytes    json.Number `json:"bytes"`
	Packets  json.Number `json:"packets"`
	Writer   string      `json:"writer_id"`
}

// AddMessages adds consecutive pmacct JSON messages, as from its print plugin, or as kcat prints a topic. The metadata
// determines device and interfaces. It fails if the input is not JSON.
func (a *Account) AddMessages(in io.Reader, s *enrich.Snapshot) error {
	d := json.NewDecoder(in)
	for n := 1; ; n++ {
		var text json.RawMessage
		err := d.Decode(&text)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("message %d: %w", n, err)
		}
		a.AddMessage(text, s)
	}
}

// AddMessage adds one message. Messages from which the reference stack would make no row are counted in Left.
func (a *Account) AddMessage(text []byte, s *enrich.Snapshot) {
	var m message
	if err := json.Unmarshal(bytes.TrimSpace(text), &m); err != nil {
		a.Left["not a message of pmacct"]++
		return
	}
	if m.Src == nil || m.Dst == nil {
		a.Left["without addresses"]++
		return
	}
	// As in the reference stack: without a start (sfacctd), the arrival.
	start := m.Start
	if start == "" {
		start = m.Arrival
	}
	ms, err := millis(string(start))
	if err != nil {
		a.Left["without a time"]++
		return
	}
	if ms%1000 != 0 {
		a.Whole = false
	}
	sums := Sums{Flows: 1, Bits: 8 * unsigned(m.Bytes), Packets: unsigned(m.Packets)}
	if a.By == BySource {
		source, err := netip.ParseAddr(*m.Src)
		if err != nil { // the reference stack makes :: of it
			source = netip.IPv6Unspecified()
		}
		a.Add(Key{Minute: minuteOf(ms), Device: source.Unmap().String()}, sums)
		return
	}
	k := Key{Minute: minuteOf(ms), Device: "unknown"}
	if m.Exporter != "" {
		k.Device = m.Exporter
		if address, err := netip.ParseAddr(m.Exporter); err == nil {
			k.Device = address.Unmap().String()
			if device, found := s.LookupDevice(address); found {
				k.Device = device.ID
			}
		}
	}
	k.In, k.Out = a.interfaceID(s, k.Device, m.In, m.Writer), a.interfaceID(s, k.Device, m.Out, m.Writer)
	a.Add(k, sums)
}

// interfaceID returns the id of a device's interface. An sFlow number beyond 24 bits has a format in its upper bits
// (sflow_version_5.txt, flow_sample).
func (a *Account) interfaceID(s *enrich.Snapshot, device string, number json.Number, writer string) string {
	index, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil {
		return ""
	}
	const format = 1<<32 - 1<<30
	if writer == "sfacctd" && index&format != 0 {
		a.Formats[device] = true
		return ""
	}
	i, _ := s.LookupInterface(device, uint32(index))
	return i.ID
}

// millis converts "seconds.microseconds" to Unix milliseconds, truncated.
func millis(text string) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, err
	}
	ms, err := strconv.ParseInt((fraction + "000")[:3], 10, 64)
	if err != nil {
		return 0, err
	}
	return seconds*1000 + ms, nil
}

// unsigned converts a counter; anything else is 0, as in a row.
func unsigned(n json.Number) uint64 {
	v, _ := strconv.ParseUint(string(n), 10, 64)
	return v
}
