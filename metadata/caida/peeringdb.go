package caida

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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

// peeringNet is a network, which is one AS.
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

func (n *peeringNet) describe(ext map[string]any) {
	ext["peeringdb_ipv6"] = n.IPv6
	ext["peeringdb_prefixes4"] = n.Prefixes4
	ext["peeringdb_prefixes6"] = n.Prefixes6
	ext["peeringdb_ratio"] = n.Ratio
	ext["peeringdb_scope"] = n.Scope
	ext["peeringdb_traffic"] = n.Traffic
	ext["peeringdb_type"] = n.Types
}

// readPeeringDB reads the dump, an object of object types; its net may come before its org.
func (m *merged) readPeeringDB(path string) error {
	r, closer, err := open(path)
	if err != nil {
		return unwrapPath(err)
	}
	defer closer.Close()
	var nets []peeringNet
	d := json.NewDecoder(r)
	d.UseNumber()
	if err := object(d, func(kind string) error {
		switch kind {
		case "org":
			return m.data(d, path, func() error {
				var o peeringOrg
				err := d.Decode(&o)
				if err == nil && o.ID != "" {
					m.peering["peeringdb:"+o.ID.String()] = &o
				}
				return err
			})
		case "net":
			return m.data(d, path, func() error {
				var n peeringNet
				err := d.Decode(&n)
				if err == nil {
					nets = append(nets, n)
				}
				return err
			})
		}
		return skip(d)
	}); err != nil {
		return fmt.Errorf("after %d bytes: %w", d.InputOffset(), err)
	}
	if len(m.peering) == 0 || len(nets) == 0 {
		return errors.New("not a PeeringDB dump: no org or no net in it")
	}
	for i := range nets {
		m.merge(&nets[i], path)
	}
	return nil
}

// object reads an object and calls member with each key; member reads the value.
func object(d *json.Decoder, member func(key string) error) error {
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

func delimiter(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err == nil && t != want {
		err = fmt.Errorf("%v instead of %v", t, want)
	}
	return err
}

func skip(d *json.Decoder) error {
	var unused json.RawMessage
	return d.Decode(&unused)
}

// data reads {"data": [...]}. An entry with a value of the wrong type costs that entry.
func (m *merged) data(d *json.Decoder, path string, entry func() error) error {
	return object(d, func(key string) error {
		if key != "data" {
			return skip(d)
		}
		if err := delimiter(d, '['); err != nil {
			return err
		}
		for d.More() {
			err := entry()
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) {
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

// merge adds what PeeringDB says of an AS. A network that CAIDA lacks is a new AS, of PeeringDB's organization. Of several
// networks with one AS the first counts.
func (m *merged) merge(n *peeringNet, path string) {
	id := "peeringdb:" + n.OrgID.String()
	org := m.peering[id]
	number, err := strconv.ParseUint(n.ASN.String(), 10, 32)
	if org == nil || err != nil {
		return
	}
	place := path + ": AS" + n.ASN.String()
	a := m.as[uint32(number)]
	if a == nil {
		if n.Name == nil {
			return
		}
		a = m.autonomousSystem(uint32(number), place)
		a.organization = id
		if m.orgs[id] == nil {
			o := m.organization(id, place)
			o.name = org.Name
			m.setCountry(o, org.Country)
		}
	}
	if a.net == nil {
		a.net = n
		if n.Name != nil {
			a.name = *n.Name
		}
	}
	if o := m.orgs[a.organization]; o != nil && !o.fromPeeringDB {
		m.locate(o, org)
	}
}

// locate fills in where an organization is, as far as nobody has said.
func (m *merged) locate(o *organization, from *peeringOrg) {
	o.fromPeeringDB = true
	if o.city == nil {
		o.city = from.City
	}
	if o.country == "" && from.Country != "" {
		m.setCountry(o, from.Country)
	}
	if o.latitude == nil {
		o.latitude = from.Latitude
	}
	if o.longitude == nil {
		o.longitude = from.Longitude
	}
	if from.State != "" {
		o.subCode = from.State
		o.subName = m.places.subdivisions[o.country+"-"+from.State]
	}
}
