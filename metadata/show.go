package metadata

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
)

// Finding is one value that a row would have, and why.
type Finding struct {
	Column string        // of data_flow, such as "src_ip_ref"; else the table
	Value  string        // the value that is written; "" for NULL
	Match  string        // what matched: a prefix, a loopback, a number
	Source string        // which source has the record: "file:…", "geo", …; "" if none does
	Age    time.Duration // of the version; 0 if unknown
	Note   string
}

// Show returns what the collector would write for an address, an AS number ("AS64512" or "64512") or a device's id. The
// snapshot says what matches. conn, which may be nil, says which source it comes from.
func Show(ctx context.Context, conn driver.Conn, settings schema.Settings, s *enrich.Snapshot,
	what string) ([]Finding, error) {
	e := &explainer{ctx: ctx, snapshot: s, settings: settings}
	if conn != nil {
		e.database = newDatabase(conn, settings)
	}
	if a, err := netip.ParseAddr(what); err == nil {
		e.address(a)
		return e.findings, e.err
	}
	number := strings.TrimPrefix(strings.ToUpper(what), "AS")
	if as, err := strconv.ParseUint(number, 10, 32); err == nil {
		e.as("src_as_id", uint32(as), "", what)
		return e.findings, e.err
	}
	if e.database == nil {
		return nil,
			fmt.Errorf("%s is neither an address nor an AS number, and devices are looked up in the tables, which "+
				"are not connected", what)
	}
	e.device(what)
	if e.err == nil && len(e.findings) == 0 {
		return nil, fmt.Errorf("%s: not an address, not an AS number and not the id of a device", what)
	}
	return e.findings, e.err
}

type explainer struct {
	ctx      context.Context
	snapshot *enrich.Snapshot
	settings schema.Settings
	database *database
	findings []Finding
	err      error
}

func (e *explainer) add(f Finding, table, ref string) {
	if e.database != nil && ref != "" && e.err == nil {
		e.err = e.origin(&f, table, ref)
	}
	e.findings = append(e.findings, f)
}

// origin looks up which source has a record, and how old the version is.
func (e *explainer) origin(f *Finding, table, ref string) error {
	d := e.database
	id, inserted := "", time.Time{}
	err := d.Rows(e.ctx, "SELECT toString(id), toInt64(toUnixTimestamp(max(insert_time))) FROM "+d.Name(table)+
		" WHERE ref = "+literal(ref)+
		" GROUP BY id", func(r *record.Reader) { id, inserted = r.Text(), time.Unix(r.Int64(), 0) })
	if err != nil {
		return fmt.Errorf("look up %s in %s: %w", ref, table, err)
	}
	if id == "" {
		f.Note = joinNotes(f.Note, "the tables no longer have this version")
		return nil
	}
	f.Age = time.Since(inserted).Truncate(time.Second)
	var sources []string
	err = d.Rows(e.ctx, "SELECT toString(source), present FROM "+d.Name(sourceTable)+" FINAL WHERE table_name = "+
		literal(table)+
		" AND id = "+literal(id)+" ORDER BY source", func(r *record.Reader) {
		source := r.Text()
		if r.Uint8() == 0 {
			source += "(earlier)"
		}
		sources = append(sources, source)
	})
	if err != nil {
		return fmt.Errorf("look up the sources of %s in %s: %w", id, table, err)
	}
	f.Source = strings.Join(sources, ", ")
	return nil
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func (e *explainer) address(a netip.Addr) {
	ip, matched := e.snapshot.LookupIP(a)
	f := Finding{Column: "src_ip_ref", Value: ip.Ref, Note: "no prefix of " + e.settings.Tables.IP + " holds it"}
	if matched {
		f.Match, f.Note = ip.Prefix.String(), ""
	}
	e.add(f, record.IP, ip.Ref)

	block, as, announced := e.snapshot.LookupASBlock(a)
	switch {
	case !matched:
		e.add(Finding{Column: "src_as_id", Value: "0",
			Note: "only an address within a prefix gets an AS; an AS in the flow record has precedence"},
			"", "")
	case announced:
		e.as("src_as_id", as, block.String(),
			"the longest ASN block; an AS in the flow record has precedence")
	case ip.ASID != 0:
		e.as("src_as_id", ip.ASID, ip.Prefix.String(),
			"no ASN block contains it, so the AS of the prefix; an AS in the flow record has precedence")
	default:
		e.add(Finding{Column: "src_as_id", Value: "0",
			Note: "neither an ASN block nor the prefix has one; an AS in the flow record has precedence"},
			"", "")
	}
	for _, name := range e.settings.IPRefExtensions {
		m, found := e.snapshot.LookupExtension(name, a)
		f := Finding{Column: "src_ip_" + name + "_ref", Value: m.Ref,
			Note: "no prefix of " + name + " contains it: the key is left out"}
		if found {
			f.Match, f.Note = m.Prefix.String(), ""
		}
		e.add(f, schema.ExtensionTable(name), m.Ref)
	}
	d, isDevice := e.snapshot.LookupDevice(a)
	f = Finding{Column: "device_id", Value: a.Unmap().String(),
		Note: "as an exporter: no device has this loopback, so the address is the device's id"}
	if isDevice {
		f.Value, f.Match, f.Note = d.ID, a.Unmap().String(), "as an exporter: a loopback of the device, "+d.Ref
	}
	e.add(f, record.Device, d.Ref)
}

func (e *explainer) as(column string, as uint32, match, note string) {
	e.add(Finding{Column: column, Value: strconv.FormatUint(uint64(as), 10), Match: match, Note: note}, "", "")
	known, found := e.snapshot.LookupAS(as)
	if !found {
		e.add(Finding{Column: "src_as_ref", Note: fmt.Sprintf("%s has no AS %d", e.settings.Tables.AS, as)}, "", "")
		return
	}
	e.add(Finding{Column: "src_as_ref", Value: known.Ref, Match: match, Note: known.Name}, record.AS, known.Ref)
	if o, found := e.snapshot.LookupOrganization(known.OrganizationID); found {
		e.add(Finding{Column: record.Organization, Value: o.Ref, Match: known.OrganizationID, Note: o.Name},
			record.Organization, o.Ref)
	}
}

// device shows the versions of a device, newest first, and the interfaces that refer to it.
func (e *explainer) device(id string) {
	d := e.database
	type version struct{ ref, note string }
	var versions []version
	e.err = d.Rows(e.ctx,
		"SELECT ref, arrayStringConcat(arrayMap(a -> replaceOne(toString(a), '::ffff:', ''), loopback_ip), ', ') FROM "+
			d.Name(record.Device)+
			" WHERE id = "+literal(id)+" ORDER BY insert_time DESC, toUInt64OrZero(extract(ref, '__v([0-9]+)$')) DESC",
		func(r *record.Reader) {
			versions = append(versions, version{r.Text(), "loopbacks: " + r.Text()})
		})
	for n, v := range versions {
		if n > 0 {
			v.note += "; an older version, which does not match"
		}
		e.add(Finding{Column: "device_ref", Value: v.ref, Match: id, Note: v.note}, record.Device, v.ref)
	}
	var interfaces []Finding
	if e.err == nil {
		e.err = d.Rows(e.ctx, "SELECT n.1, toString(n.3), n.4 FROM "+
			d.Current(record.Interface, "ref, device_id, flow_index, edge")+
			" WHERE n.2 = "+literal(id)+" AND n.3 IS NOT NULL ORDER BY n.3", func(r *record.Reader) {
			f := Finding{Column: "in_interface_ref", Value: r.Text(), Match: "index " + r.NullText()}
			if r.Uint8() == 1 {
				f.Note = "edge"
			}
			interfaces = append(interfaces, f)
		})
	}
	for _, f := range interfaces {
		e.add(f, record.Interface, f.Value)
	}
}
