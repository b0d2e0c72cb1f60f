// Package scireg reads the Science Registry: a JSON list of the resources of science projects with their addresses.
package scireg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/metranova/flow-collector/metadata/bounds"
	"github.com/metranova/flow-collector/metadata/record"
)

// entry is a resource, as far as a record takes from it.
type entry struct {
	ID          any    `json:"scireg_id"`
	Addresses   []any  `json:"addresses"`
	Org         any    `json:"org_name"`
	Discipline  any    `json:"discipline"`
	Latitude    any    `json:"latitude"`
	Longitude   any    `json:"longitude"`
	Resource    any    `json:"resource_name"`
	Project     any    `json:"project_name"`
	Contact     any    `json:"contact_email"`
	LastUpdated string `json:"last_updated"`
}

// MaxBytes is the largest registry that is read. The one of 2024 has 1 MB.
const MaxBytes = 64 << 20

const (
	maxEntry = 1 << 20 // bytes of an entry
	maxBad   = 10_000  // entries that are not right, before the file is given up
)

// Read reads the registry's file; source names where it is from. An entry that is not right costs itself, an address
// that is none costs the address. The file is read twice: as a whole now, to see that it is a list to its end, and when
// its records are asked for; it is never held in memory.
func Read(path, source string) (record.Set, error) {
	good := 0
	err := each(path, func(text json.RawMessage, place string) error {
		if _, _, err := parse(text, place, func(record.Problem) {}); err == nil {
			good++
		}
		return nil
	}, func() int { return good })
	if err != nil {
		return record.Set{}, err
	}
	if good == 0 {
		return record.Set{}, fmt.Errorf("%s: no entry is right", path)
	}
	return record.Set{
		Table: record.SciReg, Source: "scireg:" + source,
		Each: func(yield func(record.Raw, string) error, report func(record.Problem)) error {
			return each(path, func(text json.RawMessage, place string) error {
				id, raw, err := parse(text, place, report)
				if err != nil {
					report(record.Problem{Place: place, ID: id, Reason: err.Error()})
					return nil
				}
				return yield(raw, place)
			}, nil)
		},
	}, nil
}

// each calls entry with the entries of the list, one after the other. good, if not nil, is how many of them are right
// so far.
func each(path string, entry func(text json.RawMessage, place string) error, good func() int) error {
	r, err := bounds.Open(path, bounds.Limits{Total: MaxBytes, Entry: maxEntry})
	if err != nil {
		return err
	}
	defer r.Close()
	d := json.NewDecoder(bounds.JSON(r))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%s: not a JSON list: %w", path, notList(t, err))
	}
	n := 0
	for ; d.More(); n++ {
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return fmt.Errorf("%s: not a JSON list: entry %d: %w", path, n+1, err)
		}
		r.Next()
		if err := entry(text, fmt.Sprintf("%s: entry %d", path, n+1)); err != nil {
			return err
		}
		if good != nil && n-good() >= maxBad {
			return fmt.Errorf("%s: more than %d entries are not right: no registry", path, maxBad)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%s: not a JSON list: after entry %d: %w", path, n, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: not a JSON list: something comes after it", path)
	}
	if n == 0 {
		return fmt.Errorf("%s: the list is empty", path)
	}
	return nil
}

func notList(t json.Token, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%v comes first", t)
}

func parse(text json.RawMessage, place string, report func(record.Problem)) (id string, raw record.Raw, err error) {
	var e entry
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var wrong *json.UnmarshalTypeError
	switch err := d.Decode(&e); {
	case errors.As(err, &wrong) && wrong.Field == "":
		return "", nil, fmt.Errorf("a JSON %s instead of an object", wrong.Value)
	case errors.As(err, &wrong) && e.ID != nil:
		return fmt.Sprint(e.ID), nil, fmt.Errorf("%s: of the wrong type, a JSON %s", wrong.Field, wrong.Value)
	case err != nil:
		return "", nil, err
	}
	if e.ID == nil {
		return "", nil, errors.New("scireg_id: missing")
	}
	id = fmt.Sprint(e.ID)
	if e.Addresses == nil {
		return id, nil, errors.New("addresses: missing")
	}
	subnets := make([]record.Subnet, 0, len(e.Addresses))
	for _, a := range e.Addresses {
		s, err := record.ParseSubnet(strings.TrimSpace(fmt.Sprint(a)))
		if err != nil {
			report(record.Problem{Place: place, ID: id, Reason: "address left out: " + err.Error()})
			continue
		}
		subnets = append(subnets, s)
	}
	if len(subnets) == 0 {
		return id, nil, errors.New("addresses: none that is right")
	}
	return id, record.Raw{
		"id": id, "ip_subnet": subnets, "scireg_update_time": e.LastUpdated,
		"organization_name": e.Org, "organization_id": e.Org, "discipline": e.Discipline,
		"latitude": e.Latitude, "longitude": e.Longitude, "resource_name": e.Resource,
		"project_name": e.Project, "contact_email": e.Contact,
	}, nil
}
