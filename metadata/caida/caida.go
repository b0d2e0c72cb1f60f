package caida

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/metadata/bounds"
	"github.com/metranova/flow-collector/metadata/files"
	"github.com/metranova/flow-collector/metadata/record"
)

// Files are the inputs. A missing one is "".
type Files struct {
	AS2Org, PeeringDB   string
	CustomAS, CustomOrg string
}

// merged is the union of the files' contents, in order of first appearance.
type merged struct {
	places   places
	orgs     map[string]*organization
	orgOrder []*organization
	as       map[uint32]*autonomousSystem
	asOrder  []uint32
	peering  map[string]*peeringOrg // PeeringDB's own organizations, by our id
	codes    map[string]string      // of countries: each text once
	text     int                    // bytes of all texts
	problems []record.Problem
	untold   int // the number of problems beyond problems
}

// organization is one of hundreds of thousands: what can be derived from others is not kept.
type organization struct {
	id, name, country string
	peering           *peeringOrg // has its place; nil: PeeringDB does not know it
	additions         record.Raw
	place             place
	fromCAIDA         bool
}

type autonomousSystem struct {
	name, organization string
	net                *peeringNet // in PeeringDB
	additions          record.Raw
	place              place
	fromCAIDA          bool
}

// place says where a record is from. Its text is made when somebody asks for it.
type place struct {
	in     *origin
	number uint32
}

// origin is a file, and what stands between its path and a number; "": there is no number.
type origin struct{ path, between string }

func (p place) String() string {
	if p.in.between == "" {
		return p.in.path
	}
	return p.in.path + p.in.between + strconv.FormatUint(uint64(p.number), 10)
}

func newMerged() *merged {
	return &merged{orgs: map[string]*organization{}, as: map[uint32]*autonomousSystem{},
		peering: map[string]*peeringOrg{}, codes: map[string]string{}}
}

// Read reads the files. It returns the set of organizations and the set of AS numbers, which refers to the first.
func Read(f Files) ([]record.Set, error) {
	m := newMerged()
	m.places = newPlaces()
	if f == (Files{}) {
		return nil, errors.New("neither an as-org2info nor a PeeringDB file")
	}
	if f.AS2Org != "" {
		if err := m.readAS2Org(f.AS2Org); err != nil {
			return nil, fmt.Errorf("%s: %w", f.AS2Org, err)
		}
	}
	if f.PeeringDB != "" {
		if err := m.readPeeringDB(f.PeeringDB); err != nil {
			return nil, fmt.Errorf("%s: %w", f.PeeringDB, err)
		}
	}
	if err := m.readAdditions(f); err != nil {
		return nil, err
	}
	additionsOnly := f.AS2Org == "" && f.PeeringDB == ""
	return []record.Set{
		{Table: record.Organization, Source: "caida", Each: m.eachOrganization, MayBeEmpty: additionsOnly},
		{Table: record.AS, Source: "caida", Each: m.eachAS, MayBeEmpty: additionsOnly},
	}, nil
}

// Limits of the files, some five times their size in 2026.
const (
	maxLines    = 256 << 20 // bytes of as-org2info, decompressed
	maxDump     = 512 << 20 // bytes of a PeeringDB dump
	maxEntry    = 1 << 20   // bytes of a line or an entry
	maxRecords  = 500_000   // organizations and AS numbers, each
	maxPeering  = 200_000   // organizations and networks of PeeringDB, each
	maxText     = 64 << 20  // bytes of names and other texts of both files
	maxProblems = 1000      // that are reported one by one; the others are counted
	maxBad      = 100_000   // wrong lines before the file is rejected
	maxEntries  = 4_000_000 // lines, or entries of one kind, useless ones included
	maxDepth    = 1000      // of values that are skipped
)

// as2orgLine is a line of as-org2info.jsonl: an organization or an AS.
type as2orgLine struct {
	Type           string          `json:"type"`
	OrganizationID *string         `json:"organizationId"`
	Name           *string         `json:"name"`
	Country        string          `json:"country"`
	ASN            json.RawMessage `json:"asn"` // a number, or a number as text
}

func (m *merged) readAS2Org(path string) error {
	r, err := bounds.Open(path, bounds.Limits{Total: maxLines})
	if err != nil {
		return unwrapPath(err)
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEntry)
	good, bad, from := 0, 0, &origin{path, ":"}
	for n := 1; lines.Scan(); n++ {
		if n > maxEntries {
			return fmt.Errorf("more than %d lines", maxEntries)
		}
		if len(lines.Bytes()) == 0 {
			continue
		}
		place := place{from, uint32(n)}
		var l as2orgLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if bad++; bad >= maxBad {
				return fmt.Errorf("more than %d lines are not JSON objects of that form", maxBad)
			}
			m.problem(place.String(), "", "not a JSON object of that form: "+err.Error())
			continue
		}
		good++
		m.take(&l, place)
		if len(m.orgs) > maxRecords || len(m.as) > maxRecords {
			return fmt.Errorf("more than %d organizations or AS numbers", maxRecords)
		}
		if m.text > maxText {
			return errText
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if good == 0 {
		return errors.New("no line of JSON in it")
	}
	return nil
}

// errText says that there is too much to keep.
var errText = fmt.Errorf("more than %d bytes of names", maxText)

func (m *merged) take(l *as2orgLine, place place) {
	if l.OrganizationID == nil {
		return
	}
	id := "caida:" + *l.OrganizationID
	switch l.Type {
	case "Organization":
		o := m.organization(id, place)
		// CAIDA has no name for what a registry delegates further. Its id then begins with @del.
		o.name, o.fromCAIDA = "Delegated", true
		if l.Name != nil {
			o.name = *l.Name
			m.text += len(o.name)
		}
		o.country = m.code(l.Country)
	case "ASN":
		if l.ASN == nil || l.Name == nil {
			return
		}
		number, err := strconv.ParseUint(strings.Trim(string(l.ASN), `"`), 10, 32)
		if err != nil {
			m.problem(place.String(), "", fmt.Sprintf("asn: %s is not an AS number", l.ASN))
			return
		}
		a := m.autonomousSystem(uint32(number), place)
		if o := m.orgs[id]; o != nil {
			id = o.id // the text that is there already
		} else {
			m.text += len(id)
		}
		a.name, a.organization, a.fromCAIDA = *l.Name, id, true
		m.text += len(a.name)
	}
}

func (m *merged) organization(id string, place place) *organization {
	o := m.orgs[id]
	if o == nil {
		o = &organization{id: id, place: place}
		m.orgs[id] = o
		m.orgOrder = append(m.orgOrder, o)
		m.text += len(id)
	}
	return o
}

func (m *merged) autonomousSystem(number uint32, place place) *autonomousSystem {
	a := m.as[number]
	if a == nil {
		a = &autonomousSystem{place: place}
		m.as[number] = a
		m.asOrder = append(m.asOrder, number)
	}
	return a
}

// code is the code of a country, with one text for all that are equal.
func (m *merged) code(text string) string {
	if known, ok := m.codes[text]; ok {
		return known
	}
	const most = 10_000 // there are some 250
	if len(m.codes) < most {
		m.codes[text] = text
	}
	m.text += len(text)
	return text
}

func (m *merged) problem(place, id, reason string) {
	m.report(record.Problem{Place: place, ID: id, Reason: reason})
}

// report keeps a problem for whoever reads the records. Those beyond maxProblems become one line at the end.
func (m *merged) report(p record.Problem) {
	if len(m.problems) < maxProblems {
		m.problems = append(m.problems, p)
		return
	}
	m.untold++
}

// readAdditions merges the operator's records over the existing ones. A new id is a new record.
func (m *merged) readAdditions(f Files) error {
	orgs, err := files.Additions(f.CustomOrg, m.report)
	if err != nil {
		return err
	}
	for _, a := range orgs {
		m.organization(a.ID, place{in: &origin{path: a.Place}}).additions = a.Record
	}
	systems, err := files.Additions(f.CustomAS, m.report)
	if err != nil {
		return err
	}
	for _, a := range systems {
		number, err := strconv.ParseUint(a.ID, 10, 32)
		if err != nil {
			m.problem(a.Place, a.ID, "id: not an AS number")
			continue
		}
		m.autonomousSystem(uint32(number), place{in: &origin{path: a.Place}}).additions = a.Record
	}
	return nil
}

func (m *merged) eachOrganization(yield func(record.Raw, string) error, report func(record.Problem)) error {
	for _, p := range m.problems {
		report(p)
	}
	if m.untold > 0 {
		report(record.Problem{Place: "caida", Reason: fmt.Sprintf("%d more problems", m.untold)})
	}
	for _, o := range m.orgOrder {
		if err := yield(o.raw(&m.places), o.place.String()); err != nil {
			return err
		}
	}
	return nil
}

func (m *merged) eachAS(yield func(record.Raw, string) error, _ func(record.Problem)) error {
	for _, number := range m.asOrder {
		a := m.as[number]
		if err := yield(a.raw(number), a.place.String()); err != nil {
			return err
		}
	}
	return nil
}

func sources(caida, peeringDB bool) []any {
	list := []any{}
	if caida {
		list = append(list, "CAIDA")
	}
	if peeringDB {
		list = append(list, "PeeringDB")
	}
	return list
}

func (o *organization) raw(p *places) record.Raw {
	country := p.countries[strings.ToUpper(o.country)]
	at := o.peering
	if at == nil {
		at = &peeringOrg{}
	}
	r := record.Raw{"id": o.id, "city_name": at.City, "latitude": at.Latitude, "longitude": at.Longitude}
	if o.fromCAIDA || o.peering != nil {
		r["name"] = o.name
		r["ext"] = map[string]any{"data_source": sources(o.fromCAIDA, o.peering != nil)}
	}
	for name, value := range map[string]string{
		"country_code": o.country, "country_name": country.name, "continent_name": country.continent,
		"country_sub_code": at.State, "country_sub_name": p.subdivisions[o.country+"-"+at.State],
	} {
		if value != "" {
			r[name] = value
		}
	}
	for k, v := range o.additions {
		r[k] = v
	}
	return r
}

func (a *autonomousSystem) raw(number uint32) record.Raw {
	r := record.Raw{"id": uint64(number)}
	if a.fromCAIDA || a.net != nil {
		ext := map[string]any{"data_source": sources(a.fromCAIDA, a.net != nil)}
		if a.net != nil {
			a.net.describe(ext)
		}
		r["name"], r["organization_id"], r["ext"] = a.name, a.organization, ext
	}
	for k, v := range a.additions {
		r[k] = v
	}
	return r
}

// unwrapPath removes the path from an error, because the caller adds it.
func unwrapPath(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
