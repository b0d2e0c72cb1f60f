package enrich

import "fmt"

// asList are the AS numbers of meta_as. Number 0 of the list is for all AS that it does not have.
type asList struct {
	low   []uint32          // by AS number, where that is below lowAS
	high  map[uint32]uint32 // and all others
	all   []AS
	names []asNames
}

// lowAS is above the AS numbers that registries have given out so far: their numbers in the list take 2 MiB.
const lowAS = 1 << 19

// asNames are what a row says of an AS.
type asNames struct{ ref, scope string }

func newASList() *asList {
	return &asList{high: map[uint32]uint32{}, all: make([]AS, 1), names: make([]asNames, 1)}
}

// add adds an AS, or replaces the one with its number.
func (l *asList) add(a AS) {
	n := l.number(a.ID)
	if n == 0 {
		n = uint32(len(l.all))
		l.setNumber(a.ID, n)
		l.all, l.names = append(l.all, AS{}), append(l.names, asNames{})
	}
	l.all[n], l.names[n] = a, asNames{a.Ref, asScope(a.ID)}
}

func (l *asList) setNumber(id, n uint32) {
	if id >= lowAS {
		l.high[id] = n
		return
	}
	if missing := int(id) + 1 - len(l.low); missing > 0 {
		l.low = append(l.low, make([]uint32, missing)...)
	}
	l.low[id] = n
}

// number is an AS's place in the list, 0 where it is not in it.
func (l *asList) number(id uint32) uint32 {
	if int(id) < len(l.low) {
		return l.low[id]
	}
	if id < lowAS {
		return 0
	}
	return l.high[id]
}

func (l *asList) size() int { return len(l.all) - 1 }

// asScope is the policy scope of an AS; AS 0 has none.
func asScope(id uint32) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("as:%d", id)
}
