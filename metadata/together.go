package metadata

import (
	"slices"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/tables"
)

// member is a record of a table whose records refer to each other.
type member struct {
	row    record.Row
	id     string
	key    [2]uint64
	v      version
	number uint32 // that it will have
	hash   record.Hash
}

// gather collects the records of a set.
func (l *load) gather() error {
	err := l.each(nil, func(row record.Row, id, _ string, key [2]uint64, v version) error {
		m := &member{row: slices.Clone(row), id: id, key: key, v: v, number: max(v.number, 1)}
		if l.ForceUpdate && v.known {
			m.number++
		}
		l.versions.byID[key] = v
		l.members = append(l.members, m)
		return nil
	})
	if err != nil {
		// The set is not whole. What was read of it is good, but is left for the next time.
		l.members = nil
	}
	return err
}

// agree finds the refs and version numbers of records that refer to each other. A record whose target gets a new
// version gets one too, as its content names the target's ref; that goes round until nothing changes any more, which it
// does as each record changes once at most.
func agree(loads []*load) {
	byID := map[string]*member{}
	for _, l := range loads {
		for _, m := range l.members {
			byID[m.id] = m
		}
		l.resolve.own = func(id string) (string, bool) {
			if m := byID[id]; m != nil {
				return tables.MakeRef(id, m.number), true
			}
			return "", false
		}
	}
	for changed := true; changed; {
		changed = false
		for _, l := range loads {
			for _, m := range l.members {
				l.resolve.fill(m.row)
				m.hash, l.hashBuf = l.table.Hash(m.row, l.hashBuf)
				if m.v.known && m.number == m.v.number && m.hash != m.v.hash {
					m.number++
					changed = true
				}
			}
		}
	}
}

// writeMembers writes the new versions that agree has found.
func (l *load) writeMembers() error {
	for _, m := range l.members {
		if m.v.known && m.number == m.v.number {
			l.result.Unchanged++
		} else if err := l.write(m.row, m.id, m.number, m.hash); err != nil {
			return err
		}
		if err := l.list(m.id, m.key, m.v); err != nil {
			return err
		}
	}
	return nil
}
