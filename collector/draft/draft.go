// Package draft writes the first metadata files from what was heard: a device for each exporter that has none, and an
// interface for each ifIndex in its flows. People then put names to them.
package draft

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// An Interface is an ifIndex of a device, as rows have it.
type Interface struct {
	Device  string `ch:"device"` // its id, or the exporter's address where there is no device
	Index   uint32 `ch:"index"`
	ID      string `ch:"id"` // DEVICE::NAME where the exporter says the name; else empty
	BitsIn  uint64 `ch:"bits_in"`
	BitsOut uint64 `ch:"bits_out"`
	Known   bool   `ch:"known"` // meta_interface has it
}

// A Device is what rows are from.
type Device struct {
	ID    string   `ch:"id"`
	Types []string `ch:"types"` // of exports: netflow, ipfix, sflow
	Flows uint64   `ch:"flows"`
}

// Heard is what a table has of the last days.
type Heard struct {
	Devices    []Device
	Interfaces []Interface
}

// maxDrafted bounds the records of a file: addresses of exporters can be forged.
const maxDrafted = 10_000

// maxIfIndex is the largest ifIndex (RFC 2863, InterfaceIndex). Routers use numbers above flow.InterfaceSelf in NetFlow
// and IPFIX; in sFlow those are no interfaces.
const maxIfIndex = 1<<31 - 1

// Ask reads what was heard in the last days out of the table of flows.
func Ask(ctx context.Context, conn driver.Conn, s *schema.Settings, days int) (h Heard, err error) {
	table := sqltext.Name(s.Database) + "." + sqltext.Name(s.Tables.Flow)
	since := fmt.Sprintf("start_time > now() - INTERVAL %d DAY", days)
	err = conn.Select(ctx, &h.Devices,
		"SELECT device_id AS id, arraySort(groupUniqArray(toString(flow_type))) AS types, "+
			"count() AS flows FROM "+table+" WHERE "+since+
			fmt.Sprintf(" GROUP BY id ORDER BY flows DESC LIMIT %d", maxDrafted))
	if err != nil {
		return h, fmt.Errorf("ask who sent flows: %w", err)
	}
	if slices.Contains(s.WithoutColumns, "in_if_index") || slices.Contains(s.WithoutColumns, "out_if_index") {
		return h, nil // the rows do not say
	}
	side := func(name string, in, out string) string {
		return "SELECT device_id, flow_type, " + name + "_if_index AS i, ifNull(toString(" + name +
			"_interface_id), '') AS interface, " +
			"isNotNull(" + name + "_interface_ref) AS is_known, " + in + " AS bits_to, " + out + " AS bits_from FROM " +
			table +
			" WHERE " + since
	}
	err = conn.Select(ctx, &h.Interfaces, "SELECT device_id AS device, toUInt32(i) AS index, "+
		"argMax(interface, length(interface)) AS id, sum(bits_to) AS bits_in, sum(bits_from) AS bits_out, "+
		"max(is_known) = 1 AS known FROM ("+side("in", "bit_count", "0")+" UNION ALL "+side("out", "0", "bit_count")+
		") WHERE "+fmt.Sprintf("i BETWEEN 1 AND %d AND i != %d AND NOT (flow_type = 'sflow' AND i > %[2]d)", maxIfIndex,
		flow.InterfaceSelf)+" GROUP BY device, index "+fmt.Sprintf("ORDER BY device, index LIMIT %d", maxDrafted))
	if err != nil {
		return h, fmt.Errorf("ask for their interfaces: %w", err)
	}
	return h, nil
}

// DeviceFile is the text of meta_device.yml with the exporters that have no device, and how many there are.
func (h *Heard) DeviceFile() (text string, n int) {
	var b strings.Builder
	b.WriteString("# Exporters that were heard and have no device. Put the name of the router in the place of each " +
		"id, here and in\n" +
		"# meta_interface.yml, and copy the file to metadata.dir.\ntable: meta_device\ndata:\n")
	for _, d := range h.Devices {
		if !isAddress(d.ID) {
			continue
		}
		n++
		fmt.Fprintf(&b, "  # %s of %s\n  - id: %s\n    type: router\n    loopback_ip: [%s]\n",
			commandline.Count(d.Flows, "flow"), strings.Join(d.Types, ", "), quote(d.ID), quote(plain(d.ID)))
	}
	return b.String(), n
}

// InterfaceFile is the text of meta_interface.yml with the interfaces that have no record, and how many there are.
func (h *Heard) InterfaceFile() (text string, n int) {
	var b strings.Builder
	b.WriteString("# Interfaces that were heard and have no record. edge: true is for interfaces to other networks: " +
		"rollups by AS\n" +
		"# count traffic there.\ntable: meta_interface\ndata:\n")
	all := slices.Clone(h.Interfaces)
	slices.SortStableFunc(all, func(a, b Interface) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Index, b.Index))
	})
	names := map[string]bool{}
	for _, i := range all {
		if i.Known {
			continue
		}
		n++
		name, learned := strings.CutPrefix(i.ID, i.Device+"::")
		if !learned || name == "" || names[i.Device+"::"+name] {
			name = "if" + strconv.FormatUint(uint64(i.Index), 10)
		}
		names[i.Device+"::"+name] = true
		fmt.Fprintf(&b,
			"  # %s in, %s out\n  - id: %s\n    type: port\n    device_id: %s\n    name: %s\n    flow_index: %d\n"+
				"    edge: false\n", bytesText(i.BitsIn), bytesText(i.BitsOut), quote(i.Device+"::"+name),
			quote(i.Device),
			quote(name), i.Index)
	}
	return b.String(), n
}

func isAddress(id string) bool {
	_, err := netip.ParseAddr(id)
	return err == nil
}

// plain is an address as people write it.
func plain(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return a.Unmap().String()
}

// quote is a text as YAML takes it: its double quotes know the escapes of JSON.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfeff || r == '\u2028' || r == '\u2029':
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// bytesText is a number of bits as bytes with a unit.
func bytesText(bits uint64) string {
	n, unit := float64(bits)/8, 0
	for n >= 1000 && unit < 5 {
		n /= 1000
		unit++
	}
	return strconv.FormatFloat(n, 'f', min(unit, 1), 64) + " " + []string{"B", "kB", "MB", "GB", "TB", "PB"}[unit]
}
