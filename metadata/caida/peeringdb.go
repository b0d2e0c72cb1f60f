package caida

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/metranova/flow-collector/metadata/bounds"
)

// peeringOrg is an organization of the PeeringDB dump.
type peeringOrg struct {
	ID        json.Number `json:"id"`
	Name      string      `json:"name"`
	Country   string      `json:"country"`
	City      any         `json:"city"`
	State     string      `json:"state"`
	Latitude  any         `json:"latitude"`
	Longitude any         `json:"longitude"`
}

// peeringNet is a network: one AS.
type peeringNet struct {
	OrgID     json.Number `json:"org_id"`
	ASN       json.Number `json:"asn"`
	Name      *string     `json:"name"`
	IPv6      any         `json:"info_ipv6"`
	Prefixes4 any         `json:"info_prefixes4"`
	Prefixes6 any         `json:"info_prefixes6"`
	Ratio     any         `json:"info_ratio"`
	Scope     any         `json:"info_scope"`
	Traffic   any         `json:"info_traffic"`
	Types     any         `json:"info_types"`
}

// bytes is how long the texts of an organization are.
func (o *peeringOrg) bytes() int {
	n := len(o.ID) + len(o.Name) + len(o.Country) + len(o.State)
	for _, v := range []any{o.City, o.Latitude, o.Longitude} {
		n += textBytes(v)
	}
	return n
}

// bytes is how long the texts of a network are.
func (n *peeringNet) bytes() int {
	all := len(n.OrgID) + len(n.ASN)
	if n.Name != nil {
		all += len(*n.Name)
	}
	for _, v := range []any{n.IPv6, n.Prefixes4, n.Prefixes6, n.Ratio, n.Scope, n.Traffic, n.Types} {
		all += textBytes(v)
	}
	return all
}

func textBytes(v any) (n int) {
	switch v := v.(type) {
	case string:
		n = len(v)
	case json.Number:
		n = len(v)
	case []any:
		for _, x := range v {
			n += textBytes(x)
		}
	}
	return n
}

// trim removes values that are lists or objects, so that an entry takes no more memory than its text.
func (n *peeringNet) trim() {
	for _, v := range []*any{&n.IPv6, &n.Prefixes4, &n.Prefixes6, &n.Ratio, &n.Scope, &n.Traffic} {
		*v = scalar(*v)
	}
	list, _ := n.Types.([]any)
	if list == nil {
		n.Types = scalar(n.Types)
		return
	}
	const most = 64
	list = slices.Clone(list[:min(len(list), most)])
	for i := range list {
		list[i] = scalar(list[i])
	}
	n.Types = list
}

// scalar returns nil for a list or an object.
func scalar(v any) any {
	switch v.(type) {
	case []any, map[string]any:
		return nil
	}
	return v
}

func (n *peeringNet) describe(ext map[string]any) {
	ext["peeringdb_ipv6"] = n.IPv6
	ext["peeringdb_prefixes4"] = n.Prefixes4
	ext["peeringdb_prefixes6"] = n.Prefixes6
	ext["peeringdb_ratio"] = n.Ratio
	ext["peeringdb_scope"] = n.Scope
	ext["peeringdb_traffic"] = n.Traffic
	ext["peeringdb_type"] = n.Types
}

// readPeeringDB reads the dump, an object with a member for each object type. "net" may come before "org".
func (m *merged) readPeeringDB(path string) error {
	r, err := bounds.Open(path, bounds.Limits{Total: maxDump, Entry: maxEntry})
	if err != nil {
		return unwrapPath(err)
	}
	defer r.Close()
	var nets []peeringNet
	d := bounds.NewDecoder(bounds.JSON(r), r)
	d.UseNumber()
	if err := object(d, func(kind string) error {
		switch kind {
		case "org":
			return m.data(d, path, func() error {
				var o peeringOrg
				err := d.Decode(&o)
				o.City, o.Latitude, o.Longitude = scalar(o.City), scalar(o.Latitude), scalar(o.Longitude)
				if err == nil && o.ID != "" {
					m.peering["peeringdb:"+o.ID.String()] = &o
					m.text += o.bytes()
				}
				switch {
				case len(m.peering) > maxPeering:
					return fmt.Errorf("more than %d organizations", maxPeering)
				case m.text > maxText:
					return errText
				}
				return err
			})
		case "net":
			return m.data(d, path, func() error {
				var n peeringNet
				err := d.Decode(&n)
				if err == nil {
					n.trim()
					nets = append(nets, n)
					m.text += n.bytes()
				}
				switch {
				case len(nets) > maxPeering:
					return fmt.Errorf("more than %d networks", maxPeering)
				case m.text > maxText:
					return errText
				}
				return err
			})
		}
		return d.Skip(maxDepth)
	}); err != nil {
		return fmt.Errorf("after %d bytes: %w", d.InputOffset(), err)
	}
	if len(m.peering) == 0 || len(nets) == 0 {
		return errors.New("not a PeeringDB dump: no org or no net in it")
	}
	from := &origin{path, ": AS"}
	for i := range nets {
		m.merge(&nets[i], from)
	}
	return nil
}

// object reads an object. It calls member with each key; member must read the value.
func object(d *bounds.Decoder, member func(key string) error) error {
	if err := delimiter(d, '{'); err != nil {
		return err
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if err := member(t.(string)); err != nil {
			return err
		}
	}
	return delimiter(d, '}')
}

func delimiter(d *bounds.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err == nil && t != want {
		err = fmt.Errorf("%v instead of %v", t, want)
	}
	return err
}

// data reads {"data": [...]}. An entry with a value of the wrong type costs that entry.
func (m *merged) data(d *bounds.Decoder, path string, entry func() error) error {
	bad := 0
	return object(d, func(key string) error {
		if key != "data" {
			return d.Skip(maxDepth)
		}
		if err := delimiter(d, '['); err != nil {
			return err
		}
		for n := 0; d.More(); n++ {
			if n >= maxEntries {
				return fmt.Errorf("more than %d entries", maxEntries)
			}
			err := entry()
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) {
				if bad++; bad >= maxBad {
					return fmt.Errorf("more than %d entries are wrong", maxBad)
				}
				m.problem(path, "", fmt.Sprintf("%s: %s instead of %s", wrong.Field, wrong.Value, wrong.Type))
				continue
			}
			if err != nil {
				return err
			}
		}
		return delimiter(d, ']')
	})
}

// merge adds PeeringDB's data of an AS. A network that CAIDA lacks becomes a new AS of PeeringDB's organization. Of
// several networks with the same AS, the first counts.
func (m *merged) merge(n *peeringNet, from *origin) {
	id := "peeringdb:" + n.OrgID.String()
	org := m.peering[id]
	number, err := strconv.ParseUint(n.ASN.String(), 10, 32)
	if org == nil || err != nil {
		return
	}
	place := place{from, uint32(number)}
	a := m.as[uint32(number)]
	if a == nil {
		if n.Name == nil {
			return
		}
		a = m.autonomousSystem(uint32(number), place)
		a.organization = id
		if m.orgs[id] == nil {
			o := m.organization(id, place)
			o.name, o.country = org.Name, m.code(org.Country)
		}
	}
	if a.net == nil {
		a.net = n
		if n.Name != nil {
			a.name = *n.Name
		}
	}
	if o := m.orgs[a.organization]; o != nil && o.peering == nil {
		o.peering = org
		if o.country == "" {
			o.country = m.code(org.Country)
		}
	}
}
