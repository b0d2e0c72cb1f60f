package enrich

import "fmt"

// asList are the AS numbers of meta_as. Number 0 of the list is for all AS that it does not have.
type asList struct {
	byID  map[uint32]uint32
	all   []AS
	names []asNames
}

// asNames are what a row says of an AS.
type asNames struct{ ref, scope string }

func newASList() *asList {
	return &asList{byID: map[uint32]uint32{}, all: make([]AS, 1), names: make([]asNames, 1)}
}

// add adds an AS, or replaces the one with its number.
func (l *asList) add(a AS) {
	n := l.number(a.ID)
	if n == 0 {
		n = uint32(len(l.all))
		l.byID[a.ID] = n
		l.all, l.names = append(l.all, AS{}), append(l.names, asNames{})
	}
	l.all[n], l.names[n] = a, asNames{a.Ref, asScope(a.ID)}
}

// number is an AS's place in the list, 0 where it is not in it.
func (l *asList) number(id uint32) uint32 { return l.byID[id] }

func (l *asList) size() int { return len(l.byID) }

// asScope is the policy scope of an AS; AS 0 has none.
func asScope(id uint32) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("as:%d", id)
}
