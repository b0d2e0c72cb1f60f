// Package scireg reads the Science Registry: a JSON list of the resources of science projects with their addresses.
package scireg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

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

// Read reads the registry's file; source names where it is from. An entry that is not right costs itself, an address that is
// none costs the address.
func Read(path, source string) (record.Set, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return record.Set{}, err
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		return record.Set{}, fmt.Errorf("%s: not a JSON list: %w", path, err)
	}
	if len(entries) == 0 {
		return record.Set{}, fmt.Errorf("%s: the list is empty", path)
	}
	return record.Set{
		Table: record.SciReg, Source: "scireg:" + source,
		Each: func(yield func(record.Raw, string) error, report func(record.Problem)) error {
			for n, text := range entries {
				place := fmt.Sprintf("%s: entry %d", path, n+1)
				id, raw, err := parse(text, place, report)
				if err != nil {
					report(record.Problem{Place: place, ID: id, Reason: err.Error()})
					continue
				}
				if err := yield(raw, place); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

// Check says whether a file is a registry's, for a download.
func Check(path string) error {
	_, err := Read(path, "")
	return err
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
