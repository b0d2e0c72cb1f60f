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
	number uint32 // of the version that will be written
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
		// The set is incomplete. Its records are left for the next load.
		l.members = nil
	}
	return err
}

// agree finds the refs and version numbers of records that refer to each other. A record whose target gets a new
// version gets one too, because its content has the target's ref. This is repeated until nothing changes; it terminates
// because a record's version is raised at most once.
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
