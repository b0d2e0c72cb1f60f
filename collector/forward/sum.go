package forward

import ()

// Sum returns the sum of all workers' counters for each target.
func Sum(all []*Forwarder) []Stats {
	var sum []Stats
	for _, f := range all {
		for i, s := range f.Stats() {
			if i == len(sum) {
				sum = append(sum, Stats{Target: s.Target})
			}
			sum[i].Sent += s.Sent
			for r, n := range s.Lost {
				sum[i].Lost[r] += n
			}
		}
	}
	return sum
}

// Sent returns how many datagrams were forwarded.
func Sent(all []*Forwarder) (n uint64) {
	for _, s := range Sum(all) {
		n += s.Sent
	}
	return n
}
