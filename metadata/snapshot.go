package metadata

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
)

// BuildFromTables makes a snapshot of the newest version of every record in the tables, leaving out those that no
// source has any more. The tables of the IP reference extensions are meta_ip_<extension>.
func BuildFromTables(ctx context.Context, conn driver.Conn, settings schema.Settings) (*enrich.Snapshot, error) {
	b := enrich.NewBuilder()
	if _, err := (&database{conn, settings}).feed(ctx, builderFeed(b)); err != nil {
		return nil, err
	}
	return b.Build()
}

// feed takes the records of a snapshot, as an enrich.Builder and the snapshot file do.
type feed struct {
	device       func(enrich.Device)
	iface        func(enrich.MetaInterface)
	application  func(enrich.Application)
	as           func(enrich.AS)
	organization func(enrich.Organization)
	ip           func(enrich.IPPrefix)
	asBlock      func(enrich.ASPrefix)
	extension    func(name string, p enrich.IPPrefix)
}

func builderFeed(b *enrich.Builder) feed {
	return feed{b.AddDevice, b.AddInterface, b.AddApplication, b.AddAS, b.AddOrganization, b.AddIP, b.AddASBlock,
		b.AddIPExtension}
}

// both feeds two.
func both(a, b feed) feed {
	return feed{
		device:       func(v enrich.Device) { a.device(v); b.device(v) },
		iface:        func(v enrich.MetaInterface) { a.iface(v); b.iface(v) },
		application:  func(v enrich.Application) { a.application(v); b.application(v) },
		as:           func(v enrich.AS) { a.as(v); b.as(v) },
		organization: func(v enrich.Organization) { a.organization(v); b.organization(v) },
		ip:           func(v enrich.IPPrefix) { a.ip(v); b.ip(v) },
		asBlock:      func(v enrich.ASPrefix) { a.asBlock(v); b.asBlock(v) },
		extension:    func(n string, v enrich.IPPrefix) { a.extension(n, v); b.extension(n, v) },
	}
}

// feed reads all tables. A table that cannot be read costs its kind: unread says which, and why. An error of the server
// ends it.
func (d *database) feed(ctx context.Context, f feed) (unread map[string]string, err error) {
	type step struct {
		kind, table string
		read        func() error
	}
	steps := []step{
		{kindOrganizations, record.Organization, func() error { return d.feedOrganizations(ctx, f) }},
		{kindAS, record.AS, func() error { return d.feedAS(ctx, f) }},
		{kindDevices, record.Device, func() error { return d.feedDevices(ctx, f) }},
		{kindInterfaces, record.Interface, func() error { return d.feedInterfaces(ctx, f) }},
		{kindApplications, record.Application, func() error { return d.feedApplications(ctx, f) }},
		{kindASBlocks, record.ASPrefix, func() error { return d.feedASBlocks(ctx, f) }},
		{kindIPs, record.IP, func() error { return d.eachPrefix(ctx, record.IP, "ifNull(as_id, 0)", f.ip) }},
	}
	for _, name := range d.settings.IPRefExtensions {
		steps = append(steps, step{kindExtension(name), "meta_ip_" + name, func() error {
			return d.eachPrefix(ctx, schema.ExtensionTable(name), "toUInt32(0)",
				func(p enrich.IPPrefix) { f.extension(name, p) })
		}})
	}
	unread = map[string]string{}
	for _, s := range steps {
		err := s.read()
		if err != nil && !isOfTable(err) {
			return nil, fmt.Errorf("read %s for the snapshot: %w", s.table, err)
		}
		if err != nil {
			unread[s.kind] = fmt.Sprintf("table %s cannot be read, so rows get no new %s: %v",
				d.settings.TableName(s.table), s.kind, oneLine(err))
		}
	}
	return unread, nil
}

// current is a subquery of the records in force: id and n, a tuple of the columns of the newest version. It is for
// tables of some hundred thousand records: the engine groups them in memory.
func (d *database) current(table, columns string) string {
	return "(SELECT toString(id) AS id, " + newest(columns) + " AS n FROM " + d.name(table) +
		" GROUP BY id HAVING sipHash128(id) NOT IN " + d.vanished(table) + ")"
}

// vanished is a subquery of the hashes of the ids that some source had and none has any more.
func (d *database) vanished(table string) string { return d.settings.Vanished(table) }

func (d *database) feedOrganizations(ctx context.Context, f feed) error {
	return d.rows(ctx, "SELECT id, n.1, n.2 FROM "+d.current(record.Organization, "ref, toString(name)"),
		func(r *rowReader) {
			o := enrich.Organization{ID: r.text(), Ref: r.text(), Name: r.text()}
			if r.err == nil {
				f.organization(o)
			}
		})
}

func (d *database) feedAS(ctx context.Context, f feed) error {
	columns := "ref, toString(name), organization_id, organization_ref"
	return d.rows(ctx, "SELECT toUInt32(id), n.1, n.2, n.3, n.4 FROM "+d.current(record.AS, columns),
		func(r *rowReader) {
			a := enrich.AS{ID: r.uint32(), Ref: r.text(), Name: r.text(), OrganizationID: r.text(),
				OrganizationRef: r.nullText()}
			if r.err == nil {
				f.as(a)
			}
		})
}

func (d *database) feedDevices(ctx context.Context, f feed) error {
	columns := "ref, loopback_ip, toInt64(toUnixTimestamp(insert_time))"
	return d.rows(ctx, "SELECT id, n.1, n.3, n.2 FROM "+d.current(record.Device, columns), func(r *rowReader) {
		v := enrich.Device{ID: r.text(), Ref: r.text(), Version: r.int64()}
		for range r.length() {
			v.Loopbacks = append(v.Loopbacks, r.address())
		}
		if r.err == nil {
			f.device(v)
		}
	})
}

func (d *database) feedInterfaces(ctx context.Context, f feed) error {
	columns := "ref, device_id, isNotNull(flow_index), ifNull(flow_index, 0), edge, toInt64(toUnixTimestamp(insert_time))"
	return d.rows(ctx, "SELECT id, n.1, n.2, n.3, n.4, n.5, n.6 FROM "+d.current(record.Interface, columns),
		func(r *rowReader) {
			v := enrich.MetaInterface{ID: r.text(), Ref: r.text(), DeviceID: r.text(), HasFlowIndex: r.uint8() == 1,
				FlowIndex: r.uint32(), Edge: r.uint8() == 1, Version: r.int64()}
			if r.err == nil {
				f.iface(v)
			}
		})
}

func (d *database) feedApplications(ctx context.Context, f feed) error {
	query := "SELECT id, protocol, port_range_min, port_range_max FROM " + d.name(record.Application) +
		" FINAL WHERE " +
		"sipHash128(concat(protocol, ' ', id, ' ', toString(port_range_min), ' ', toString(port_range_max))) NOT IN " +
		d.vanished(record.Application)
	return d.rows(ctx, query, func(r *rowReader) {
		a := enrich.Application{ID: r.text(), Protocol: r.text(), PortMin: r.uint16(), PortMax: r.uint16()}
		if r.err == nil {
			f.application(a)
		}
	})
}

// feedASBlocks hands those of the operator on last: of two with one prefix the last one counts. Their ids are more than
// the prefix.
func (d *database) feedASBlocks(ctx context.Context, f feed) error {
	var own []enrich.ASPrefix
	err := d.eachPrefix(ctx, record.ASPrefix, "as_id", func(p enrich.IPPrefix) {
		block := enrich.ASPrefix{Prefix: p.Prefix, ASID: p.ASID}
		if strings.Contains(p.ID, " ") {
			own = append(own, block)
			return
		}
		f.asBlock(block)
	})
	for _, block := range own {
		f.asBlock(block)
	}
	return err
}

// prefixRow is a version of a record with subnets.
type prefixRow struct {
	id, ref  string
	time, as uint32
	subnets  []netip.Prefix
}

// eachPrefix calls add with each subnet of the records in force of a table that may have millions. The engine reads
// them in the order of the table's key, ref, where the versions of a record lie together; the newest of them is found
// here.
func (d *database) eachPrefix(ctx context.Context, table, as string, add func(enrich.IPPrefix)) error {
	query := "SELECT id, ref, toUnixTimestamp(insert_time), " + as + ", ip_subnet FROM " + d.name(table) +
		" WHERE sipHash128(id) NOT IN " + d.vanished(table) + " ORDER BY ref, id, insert_time"
	run := versionRun{add: add}
	if err := d.rows(ctx, query, func(r *rowReader) {
		v := prefixRow{id: r.text(), ref: r.text(), time: r.uint32(), as: r.uint32()}
		for range r.length() {
			if p, ok := r.subnet(); ok {
				v.subnets = append(v.subnets, p)
			}
		}
		if r.err == nil {
			run.take(v)
		}
	}); err != nil {
		return err
	}
	run.flush()
	return nil
}

// versionRun collects the versions of a record, from rows in the order of their refs. Those between X__v1 and X__v2 all
// start with X__v, but may have ids that do so too.
type versionRun struct {
	add    func(enrich.IPPrefix)
	prefix string
	newest []prefixRow // one for each id
}

func (r *versionRun) take(v prefixRow) {
	if len(r.newest) == 0 || !strings.HasPrefix(v.ref, r.prefix) {
		r.flush()
		r.prefix = v.ref
		if i := strings.LastIndex(v.ref, "__v"); i >= 0 {
			r.prefix = v.ref[:i+len("__v")]
		}
	}
	for i := range r.newest {
		if old := &r.newest[i]; old.id == v.id {
			if v.time > old.time || v.time == old.time && refNumber(v.ref) >= refNumber(old.ref) {
				*old = v
			}
			return
		}
	}
	r.newest = append(r.newest, v)
}

func (r *versionRun) flush() {
	for i := range r.newest {
		v := &r.newest[i]
		for _, p := range v.subnets {
			r.add(enrich.IPPrefix{Prefix: p, ID: v.id, Ref: v.ref, ASID: v.as})
		}
	}
	r.newest = r.newest[:0]
}

// address reads an IPv6; IPv4 is in it in its mapped form.
func (r *rowReader) address() netip.Addr {
	return netip.AddrFrom16([16]byte(r.bytes(16))).Unmap()
}

// subnet reads (IPv6, UInt8). The length is that of the address's own family; what is none is passed over.
func (r *rowReader) subnet() (p netip.Prefix, ok bool) {
	a := r.address()
	bits := int(r.uint8())
	if a.Is4() && bits > 32 {
		bits -= 96
	}
	p, err := a.Prefix(bits)
	return p, err == nil && r.err == nil
}

// shrunk are the kinds of which a snapshot lacks what the one before it had: all of it, or more than half of many. Of
// the extensions those count that are configured now. old may be nil.
func shrunk(old, fresh *enrich.Snapshot, extensions []string) map[string]string {
	held := map[string]string{}
	if old == nil {
		return held
	}
	a, b := old.Stats(), fresh.Stats()
	compare := func(kind string, had, has int) {
		if (had > 0 && has == 0) || (had >= shrinkFloor && has < had/2) {
			held[kind] = fmt.Sprintf("the new metadata has %d %s where the one in use has %d", has, kind, had)
		}
	}
	compare(kindDevices, a.Devices, b.Devices)
	compare(kindInterfaces, a.Interfaces, b.Interfaces)
	compare(kindApplications, a.Applications, b.Applications)
	compare(kindAS, a.AS, b.AS)
	compare(kindOrganizations, a.Organizations, b.Organizations)
	compare(kindIPs, a.IPs, b.IPs)
	compare(kindASBlocks, a.ASBlocks, b.ASBlocks)
	for _, name := range extensions {
		compare(kindExtension(name), a.Extensions[name], b.Extensions[name])
	}
	return held
}
