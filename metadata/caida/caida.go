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
	orgOrder []string
	as       map[uint32]*autonomousSystem
	asOrder  []uint32
	peering  map[string]*peeringOrg // PeeringDB's own organizations, by our id
	problems []record.Problem
	untold   int // the number of problems beyond problems
}

type organization struct {
	name                            string
	country, countryName, continent string
	subCode, subName                string
	city                            any // text, or nil if no file has it
	latitude, longitude             any
	fromCAIDA, fromPeeringDB        bool
	additions                       record.Raw
	place                           string
}

type autonomousSystem struct {
	name, organization string
	net                *peeringNet // in PeeringDB
	fromCAIDA          bool
	additions          record.Raw
	place              string
}

func newMerged() *merged {
	return &merged{orgs: map[string]*organization{}, as: map[uint32]*autonomousSystem{},
		peering: map[string]*peeringOrg{}}
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

// Limits of the files, some ten times their size in 2024.
const (
	maxLines    = 256 << 20 // bytes of as-org2info, decompressed
	maxDump     = 512 << 20 // bytes of a PeeringDB dump
	maxEntry    = 1 << 20   // bytes of a line or an entry
	maxRecords  = 1_000_000 // organizations, AS numbers and networks, each
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
	good, bad := 0, 0
	for n := 1; lines.Scan(); n++ {
		if n > maxEntries {
			return fmt.Errorf("more than %d lines", maxEntries)
		}
		if len(lines.Bytes()) == 0 {
			continue
		}
		place := path + ":" + strconv.Itoa(n)
		var l as2orgLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if bad++; bad >= maxBad {
				return fmt.Errorf("more than %d lines are not JSON objects of that form", maxBad)
			}
			m.problem(place, "", "not a JSON object of that form: "+err.Error())
			continue
		}
		good++
		m.take(&l, place)
		if len(m.orgs) > maxRecords || len(m.as) > maxRecords {
			return fmt.Errorf("more than %d organizations or AS numbers", maxRecords)
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

func (m *merged) take(l *as2orgLine, place string) {
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
		}
		m.setCountry(o, l.Country)
	case "ASN":
		if l.ASN == nil || l.Name == nil {
			return
		}
		number, err := strconv.ParseUint(strings.Trim(string(l.ASN), `"`), 10, 32)
		if err != nil {
			m.problem(place, "", fmt.Sprintf("asn: %s is not an AS number", l.ASN))
			return
		}
		a := m.autonomousSystem(uint32(number), place)
		a.name, a.organization, a.fromCAIDA = *l.Name, id, true
	}
}

func (m *merged) organization(id, place string) *organization {
	o := m.orgs[id]
	if o == nil {
		o = &organization{place: place}
		m.orgs[id] = o
		m.orgOrder = append(m.orgOrder, id)
	}
	return o
}

func (m *merged) autonomousSystem(number uint32, place string) *autonomousSystem {
	a := m.as[number]
	if a == nil {
		a = &autonomousSystem{place: place}
		m.as[number] = a
		m.asOrder = append(m.asOrder, number)
	}
	return a
}

func (m *merged) setCountry(o *organization, code string) {
	c := m.places.countries[strings.ToUpper(code)]
	o.country, o.countryName, o.continent = code, c.name, c.continent
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
		m.organization(a.ID, a.Place).additions = a.Record
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
		m.autonomousSystem(uint32(number), a.Place).additions = a.Record
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
	for _, id := range m.orgOrder {
		o := m.orgs[id]
		if err := yield(o.raw(id), o.place); err != nil {
			return err
		}
	}
	return nil
}

func (m *merged) eachAS(yield func(record.Raw, string) error, _ func(record.Problem)) error {
	for _, number := range m.asOrder {
		a := m.as[number]
		if err := yield(a.raw(number), a.place); err != nil {
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

func (o *organization) raw(id string) record.Raw {
	r := record.Raw{"id": id, "city_name": o.city, "latitude": o.latitude, "longitude": o.longitude}
	if o.fromCAIDA || o.fromPeeringDB {
		r["name"] = o.name
		r["ext"] = map[string]any{"data_source": sources(o.fromCAIDA, o.fromPeeringDB)}
	}
	for name, value := range map[string]string{
		"country_code": o.country, "country_name": o.countryName, "continent_name": o.continent,
		"country_sub_code": o.subCode, "country_sub_name": o.subName,
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
