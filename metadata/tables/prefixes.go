package tables

import (
	"context"
	"net/netip"
	"strings"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
)

// prefixRow is one version of a record with subnets.
type prefixRow struct {
	id, ref  string
	country  string
	time, as uint32
	subnets  []netip.Prefix
}

// EachPrefix calls add with each subnet of the records in force, for tables that may have millions. The engine reads
// them in the order of the table's key, ref, so that the versions of a record are close together; the newest is chosen
// here.
// as and country are the expressions of the record's AS and country.
func (d *Database) EachPrefix(ctx context.Context, table, as, country string, add func(enrich.IPPrefix)) error {
	query := "SELECT id, ref, toUnixTimestamp(insert_time), " + as + ", " + country + ", ip_subnet FROM " +
		d.Name(table) + " WHERE sipHash128(id) NOT IN " + d.Vanished(table) + " ORDER BY ref, id, insert_time"
	run := versionRun{add: add}
	if err := d.Rows(ctx, query, func(r *record.Reader) {
		v := prefixRow{id: r.Text(), ref: r.Text(), time: r.Uint32(), as: r.Uint32(), country: r.Text()}
		for range r.Elements() {
			if p, ok := r.Subnet(); ok {
				v.subnets = append(v.subnets, p)
			}
		}
		if r.Err() == nil {
			run.take(v)
		}
	}); err != nil {
		return err
	}
	run.flush()
	return nil
}

// versionRun collects the versions of a record from rows in the order of ref. Between X__v1 and X__v2 all refs begin
// with X__v, but another id may begin with that too.
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
			if v.time > old.time || v.time == old.time && RefNumber(v.ref) >= RefNumber(old.ref) {
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
			r.add(enrich.IPPrefix{Prefix: p, ID: v.id, Ref: v.ref, ASID: v.as, Country: v.country})
		}
	}
	r.newest = r.newest[:0]
}
