package enrich

// asList holds the AS numbers of meta_as. Its entry 0 stands for every AS that meta_as does not have.
type asList struct {
	low  []uint32          // by AS number, where that is below lowAS
	high map[uint32]uint32 // all other AS numbers
	all  []AS
	refs []string
}

// lowAS is larger than every AS number that registries have assigned so far. The array below it takes 2 MiB.
const lowAS = 1 << 19

func newASList() *asList {
	return &asList{high: map[uint32]uint32{}, all: make([]AS, 1), refs: make([]string, 1)}
}

// add adds an AS, or replaces the entry that has the same number.
func (l *asList) add(a AS) {
	n := l.number(a.ID)
	if n == 0 {
		n = uint32(len(l.all))
		l.setNumber(a.ID, n)
		l.all, l.refs = append(l.all, AS{}), append(l.refs, "")
	}
	l.all[n], l.refs[n] = a, a.Ref
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

// number returns the index of an AS's entry, or 0 if the list does not have it.
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
