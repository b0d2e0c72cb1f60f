package netflow

// scopeFilter says of most scopes that no rate is known for them, without a look into large maps: a record asks the
// rates of up to maxAnnouncers domains for each thing that it names, and most of them do not have it. It never says so
// of a scope that has a rate; one that had a rate before may look as if it had one still.
type scopeFilter [scopeFilterBits / 64]uint64

const (
	scopeFilterBits = 1 << 16
	// filteredFrom is how many scopes a domain has from which on it has a filter. They take as much memory as that.
	filteredFrom = scopeFilterBits / 8 / rateBytes
)

// at returns where a scope's bit is.
func (f *scopeFilter) at(key scopeKey) (word *uint64, bit uint64) {
	hash := (key.id ^ uint64(key.kind)<<56) * golden >> (64 - 16)
	return &f[hash/64], 1 << (hash % 64)
}

func (f *scopeFilter) add(key scopeKey) {
	word, bit := f.at(key)
	*word |= bit
}

// mayHave reports whether there may be a rate for a scope of one thing.
func (t *scopedRates) mayHave(key scopeKey) bool {
	if t.filter == nil {
		return true
	}
	word, bit := t.filter.at(key)
	return *word&bit != 0
}

// note puts a scope that has a rate from now on into the filter.
func (t *scopedRates) note(key scopeKey) {
	if t.filter != nil {
		t.filter.add(key)
		return
	}
	t.refilter()
}

// noteWhole puts a scope that names several things, and each of these, into the filter.
func (t *scopedRates) noteWhole(s *scope) {
	if t.filter != nil {
		t.filter.addWhole(s)
		return
	}
	t.refilter()
}

func (f *scopeFilter) addWhole(s *scope) {
	f.add(s.folded())
	for _, key := range s[:s.len()] {
		f.add(key)
	}
}

// folded stands for a scope of several things in a filter.
func (s *scope) folded() (key scopeKey) {
	for _, part := range s {
		key.id = key.id*golden + part.id ^ uint64(part.kind)
	}
	return key
}

// refilter makes the filter anew, without those that have no rate any more.
func (t *scopedRates) refilter() {
	t.filter = nil
	if t.count() < filteredFrom {
		return
	}
	t.filter = &scopeFilter{}
	for key := range t.single {
		t.filter.add(key)
	}
	for key := range t.joins {
		t.filter.add(key)
	}
	for s := range t.several {
		t.filter.addWhole(&s)
	}
}
