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

// entry has the members of a resource that a record uses.
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

// MaxBytes limits the registry's size. In 2024 it has 1 MB.
const MaxBytes = 64 << 20

const (
	maxEntry     = 1 << 20 // bytes of an entry
	maxBad       = 10_000  // wrong entries before the file is rejected
	maxEntries   = 200_000 // in 2024 it has some thousand
	maxAddresses = 1_000_000
	maxWrong     = 100_000 // wrong addresses before the file is rejected
)

// Read reads the registry's file; source is where it is from. A wrong entry is left out; of an entry, wrong addresses
// are left out. The file is read twice: completely now, to check that it is a list, and again when its records are
// used. It is never held in memory.
func Read(path, source string) (record.Set, error) {
	good, addresses, wrong := 0, 0, 0
	err := each(path, func(text json.RawMessage, place string) error {
		if _, raw, err := parse(text, place, func(record.Problem) { wrong++ }); err == nil {
			good++
			addresses += len(raw["ip_subnet"].([]record.Subnet))
		}
		switch {
		case addresses > maxAddresses:
			return fmt.Errorf("%s: more than %d addresses", path, maxAddresses)
		case wrong > maxWrong:
			return fmt.Errorf("%s: more than %d addresses are wrong: not the registry", path, maxWrong)
		}
		return nil
	}, func() int { return good })
	if err != nil {
		return record.Set{}, err
	}
	if good == 0 {
		return record.Set{}, fmt.Errorf("%s: no correct entry", path)
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

// each calls entry with the list's entries one by one. good, if not nil, returns how many were correct so far.
func each(path string, entry func(text json.RawMessage, place string) error, good func() int) error {
	r, err := bounds.Open(path, bounds.Limits{Total: MaxBytes, Entry: maxEntry})
	if err != nil {
		return err
	}
	defer r.Close()
	d := bounds.NewDecoder(bounds.JSON(r), r)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%s: not a JSON list: %w", path, notList(t, err))
	}
	n := 0
	for ; d.More(); n++ {
		if n >= maxEntries {
			return fmt.Errorf("%s: more than %d entries", path, maxEntries)
		}
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return fmt.Errorf("%s: not a JSON list: entry %d: %w", path, n+1, err)
		}
		if err := entry(text, fmt.Sprintf("%s: entry %d", path, n+1)); err != nil {
			return err
		}
		if good != nil && n-good() >= maxBad {
			return fmt.Errorf("%s: more than %d entries are wrong: not the registry", path, maxBad)
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
		return id, nil, errors.New("addresses: none is valid")
	}
	return id, record.Raw{
		"id": id, "ip_subnet": subnets, "scireg_update_time": e.LastUpdated,
		"organization_name": e.Org, "organization_id": e.Org, "discipline": e.Discipline,
		"latitude": e.Latitude, "longitude": e.Longitude, "resource_name": e.Resource,
		"project_name": e.Project, "contact_email": e.Contact,
	}, nil
}
