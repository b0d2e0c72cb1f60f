package forward

import ()

// Sum adds up what the workers' forwarders say of each target.
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

// Sent is how many datagrams went to other collectors.
func Sent(all []*Forwarder) (n uint64) {
	for _, s := range Sum(all) {
		n += s.Sent
	}
	return n
}
