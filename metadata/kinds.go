package metadata

import (
	"context"
	"strings"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/metadata/tables"
	"github.com/metranova/flow-collector/sink/schema"
)

// The tags of the kinds in the snapshot file. Tags of registries begin at 16.
const (
	tagDevices byte = iota + 1
	tagInterfaces
	tagApplications
	tagAS
	tagOrganizations
	tagIPs
	tagASBlocks
	tagExtensions
)

// modelKinds returns the kinds of the data model, in the order in which their tables are read.
func modelKinds() []source.Kind {
	return []source.Kind{
		organizations(), autonomousSystems(), devices(), interfaces(), applications(), asBlocks(), ipPrefixes(),
	}
}

// tableKinds returns the kinds whose tables a snapshot is built from under these settings.
func tableKinds(s *schema.Settings) []source.Kind {
	kinds := modelKinds()
	for _, name := range s.IPRefExtensions {
		kinds = append(kinds, extension(name))
	}
	return append(kinds, registryKinds()...)
}

// fileKinds returns the kinds that a snapshot file can have, whatever the settings were when it was written.
func fileKinds() []source.Kind {
	return append(append(modelKinds(), extension("")), registryKinds()...)
}

func organizations() *source.Records[enrich.Organization] {
	return &source.Records[enrich.Organization]{
		KindName: "organizations", TableName: record.Organization, FileTag: tagOrganizations,
		Add: (*enrich.Builder).AddOrganization, Number: func(s *enrich.Stats) int { return s.Organizations },
		Read: func(ctx context.Context, d *tables.Database, add func(enrich.Organization)) error {
			query := "SELECT id, n.1, n.2 FROM " + d.Current(record.Organization, "ref, toString(name)")
			return tables.Each(ctx, d, query, add, func(r *record.Reader) enrich.Organization {
				return enrich.Organization{ID: r.Text(), Ref: r.Text(), Name: r.Text()}
			})
		},
		Write: func(e *source.Encoder, v enrich.Organization) { e.Text(v.ID, v.Ref, v.Name) },
		Parse: func(d *source.Decoder) enrich.Organization {
			return enrich.Organization{ID: d.Copy(), Ref: d.Copy(), Name: d.Copy()}
		},
	}
}

func autonomousSystems() *source.Records[enrich.AS] {
	return &source.Records[enrich.AS]{
		KindName: "AS numbers", TableName: record.AS, FileTag: tagAS,
		Add: (*enrich.Builder).AddAS, Number: func(s *enrich.Stats) int { return s.AS },
		Read: func(ctx context.Context, d *tables.Database, add func(enrich.AS)) error {
			query := "SELECT toUInt32(id), n.1, n.2, n.3, n.4 FROM " +
				d.Current(record.AS, "ref, toString(name), organization_id, organization_ref")
			return tables.Each(ctx, d, query, add, func(r *record.Reader) enrich.AS {
				return enrich.AS{ID: r.Uint32(), Ref: r.Text(), Name: r.Text(), OrganizationID: r.Text(),
					OrganizationRef: r.NullText()}
			})
		},
		Write: func(e *source.Encoder, v enrich.AS) {
			e.Text(v.Ref, v.Name, v.OrganizationID, v.OrganizationRef)
			e.Number(uint64(v.ID))
		},
		Parse: func(d *source.Decoder) enrich.AS {
			return enrich.AS{Ref: d.Copy(), Name: d.Copy(), OrganizationID: d.Copy(), OrganizationRef: d.Copy(),
				ID: uint32(d.Number())}
		},
	}
}

func devices() *source.Records[enrich.Device] {
	return &source.Records[enrich.Device]{
		KindName: "devices", TableName: record.Device, FileTag: tagDevices,
		Add: (*enrich.Builder).AddDevice, Number: func(s *enrich.Stats) int { return s.Devices },
		Read: func(ctx context.Context, d *tables.Database, add func(enrich.Device)) error {
			query := "SELECT id, n.1, n.3, n.2 FROM " +
				d.Current(record.Device, "ref, loopback_ip, toInt64(toUnixTimestamp(insert_time))")
			return tables.Each(ctx, d, query, add, func(r *record.Reader) enrich.Device {
				v := enrich.Device{ID: r.Text(), Ref: r.Text(), Version: r.Int64()}
				for range r.Elements() {
					v.Loopbacks = append(v.Loopbacks, r.Address())
				}
				return v
			})
		},
		Write: func(e *source.Encoder, v enrich.Device) {
			e.Text(v.ID, v.Ref)
			e.Number(uint64(v.Version), uint64(len(v.Loopbacks)))
			for _, a := range v.Loopbacks {
				e.Address(a)
			}
		},
		Parse: func(d *source.Decoder) enrich.Device {
			v := enrich.Device{ID: d.Copy(), Ref: d.Copy(), Version: int64(d.Number())}
			for n := d.Number(); n > 0 && d.More(); n-- {
				v.Loopbacks = append(v.Loopbacks, d.Address())
			}
			return v
		},
	}
}

func interfaces() *source.Records[enrich.MetaInterface] {
	return &source.Records[enrich.MetaInterface]{
		KindName: "interfaces", TableName: record.Interface, FileTag: tagInterfaces,
		Add: (*enrich.Builder).AddInterface, Number: func(s *enrich.Stats) int { return s.Interfaces },
		Read: func(ctx context.Context, d *tables.Database, add func(enrich.MetaInterface)) error {
			query := "SELECT id, n.1, n.2, n.3, n.4, n.5, n.6 FROM " + d.Current(record.Interface, "ref, device_id, "+
				"isNotNull(flow_index), ifNull(flow_index, 0), edge, toInt64(toUnixTimestamp(insert_time))")
			return tables.Each(ctx, d, query, add, func(r *record.Reader) enrich.MetaInterface {
				return enrich.MetaInterface{ID: r.Text(), Ref: r.Text(), DeviceID: r.Text(),
					HasFlowIndex: r.Uint8() == 1,
					FlowIndex:    r.Uint32(), Edge: r.Uint8() == 1, Version: r.Int64()}
			})
		},
		Write: func(e *source.Encoder, v enrich.MetaInterface) {
			e.Text(v.ID, v.Ref, v.DeviceID)
			e.Number(uint64(v.FlowIndex))
			e.Bool(v.HasFlowIndex)
			e.Bool(v.Edge)
			e.Number(uint64(v.Version))
		},
		Parse: func(d *source.Decoder) enrich.MetaInterface {
			return enrich.MetaInterface{ID: d.Copy(), Ref: d.Copy(), DeviceID: d.Copy(), FlowIndex: uint32(d.Number()),
				HasFlowIndex: d.Bool(), Edge: d.Bool(), Version: int64(d.Number())}
		},
	}
}

func applications() *source.Records[enrich.Application] {
	return &source.Records[enrich.Application]{
		KindName: "applications", TableName: record.Application, FileTag: tagApplications,
		Add: (*enrich.Builder).AddApplication, Number: func(s *enrich.Stats) int { return s.Applications },
		Read: func(ctx context.Context, d *tables.Database, add func(enrich.Application)) error {
			query := "SELECT id, protocol, port_range_min, port_range_max FROM " + d.Name(record.Application) +
				" FINAL WHERE sipHash128(concat(protocol, ' ', id, ' ', toString(port_range_min), ' ', " +
				"toString(port_range_max))) NOT IN " + d.Vanished(record.Application)
			return tables.Each(ctx, d, query, add, func(r *record.Reader) enrich.Application {
				return enrich.Application{ID: r.Text(), Protocol: r.Text(), PortMin: r.Uint16(), PortMax: r.Uint16()}
			})
		},
		Write: func(e *source.Encoder, v enrich.Application) {
			e.Text(v.ID, v.Protocol)
			e.Number(uint64(v.PortMin), uint64(v.PortMax))
		},
		Parse: func(d *source.Decoder) enrich.Application {
			return enrich.Application{ID: d.Copy(), Protocol: d.Copy(), PortMin: uint16(d.Number()),
				PortMax: uint16(d.Number())}
		},
	}
}

// asBlocks passes the operator's own blocks last, because of two blocks with the same prefix the last one counts. Their
// ids are more than the prefix.
func asBlocks() *source.Records[enrich.ASPrefix] {
	return &source.Records[enrich.ASPrefix]{
		KindName: "ASN blocks", TableName: record.ASPrefix, FileTag: tagASBlocks,
		Add: (*enrich.Builder).AddASBlock, Number: func(s *enrich.Stats) int { return s.ASBlocks },
		Read: func(ctx context.Context, d *tables.Database, add func(enrich.ASPrefix)) error {
			var own []enrich.ASPrefix
			err := d.EachPrefix(ctx, record.ASPrefix, "as_id", "''", func(p enrich.IPPrefix) {
				block := enrich.ASPrefix{Prefix: p.Prefix, ASID: p.ASID}
				if strings.Contains(p.ID, " ") {
					own = append(own, block)
					return
				}
				add(block)
			})
			for _, block := range own {
				add(block)
			}
			return err
		},
		Write: func(e *source.Encoder, v enrich.ASPrefix) {
			e.Prefix(v.Prefix)
			e.Number(uint64(v.ASID))
		},
		Parse: func(d *source.Decoder) enrich.ASPrefix {
			return enrich.ASPrefix{Prefix: d.Prefix(), ASID: uint32(d.Number())}
		},
	}
}

func ipPrefixes() *source.Records[enrich.IPPrefix] {
	return &source.Records[enrich.IPPrefix]{
		KindName: "IP prefixes", TableName: record.IP, FileTag: tagIPs,
		Add: (*enrich.Builder).AddIP, Number: func(s *enrich.Stats) int { return s.IPs },
		Read: func(ctx context.Context, d *tables.Database, add func(enrich.IPPrefix)) error {
			return d.EachPrefix(ctx, record.IP, "ifNull(as_id, 0)", schema.CountryOf, add)
		},
		Write: func(e *source.Encoder, v enrich.IPPrefix) {
			e.IP(v)
			e.Text(v.Country)
		},
		Parse: func(d *source.Decoder) enrich.IPPrefix {
			v := d.IP()
			v.Country = d.Text()
			return v
		},
	}
}

// extensionPrefix is a prefix of an IP reference extension.
type extensionPrefix struct {
	extension string
	enrich.IPPrefix
}

// extension returns the kind for the prefixes of an IP reference extension. All extensions have one tag in the file,
// and the record names its extension: extension("") reads them all.
func extension(name string) *source.Records[extensionPrefix] {
	kindName := func(extension string) string { return extension + " prefixes" }
	return &source.Records[extensionPrefix]{
		KindName: kindName(name), TableName: schema.ExtensionTable(name), FileTag: tagExtensions,
		NameOf: func(p extensionPrefix) string { return kindName(p.extension) },
		Add:    func(b *enrich.Builder, p extensionPrefix) { b.AddIPExtension(p.extension, p.IPPrefix) },
		Number: func(s *enrich.Stats) int { return s.Extensions[name] },
		Read: func(ctx context.Context, d *tables.Database, add func(extensionPrefix)) error {
			return d.EachPrefix(ctx, schema.ExtensionTable(name), "toUInt32(0)", "''",
				func(p enrich.IPPrefix) { add(extensionPrefix{name, p}) })
		},
		Write: func(e *source.Encoder, p extensionPrefix) {
			e.Text(p.extension)
			e.IP(p.IPPrefix)
		},
		Parse: func(d *source.Decoder) extensionPrefix { return extensionPrefix{d.Shared(), d.IP()} },
	}
}
