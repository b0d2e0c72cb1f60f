package hostile

// agent is the address that sFlow datagrams state, and head the begin of one with so many samples (sFlow v5).
const agent = 0x7f42_0001

func head(number, samples int) []byte {
	return words(nil, 5, 1, agent, 0, uint32(number), 1000, uint32(samples))
}

func agents(*maker) func(int) []byte {
	return func(i int) []byte { return words(nil, 5, 1, uint32(i), 0, 1, 1000, 0) }
}

// agentSamples has a sample of another agent in each.
func agentSamples(m *maker) func(int) []byte {
	next := samples(1)(m)
	return func(i int) []byte {
		b := next(i)
		words(b[:8], uint32(i))
		return b
	}
}

// samples has a sampled_ipv4 in each.
func samples(atOnce int) func(*maker) func(int) []byte {
	return func(m *maker) func(int) []byte {
		return func(i int) []byte {
			b := head(i, atOnce)
			for range atOnce {
				b = words(b, 1, 72, 1, 1, 1000, 1000, 0, m.Uint32(), 2, 1, 3, 32, 100, 6, m.Uint32(), m.Uint32(), 80,
					81, 0, 0)
			}
			return b
		}
	}
}

// samplers has flow samples of other data sources each, which each have sequence numbers of their own.
func samplers(m *maker) func(int) []byte {
	return func(i int) []byte {
		const atOnce = 160
		b := head(i, atOnce)
		for k := range atOnce {
			b = words(b, 1, 32+8+32, uint32(i), uint32(i*atOnce+k)&0xffffff, 1000, 1000, 0, 1, 2, 1, 3, 32, 100, 6,
				m.Uint32(), m.Uint32(), 80, 81, 0, 0)
		}
		return b
	}
}

func emptySamples(*maker) func(int) []byte {
	return func(i int) []byte {
		b := head(i, 8000)
		for range 8000 {
			b = words(b, 2, 0)
		}
		return b
	}
}

func lengths(*maker) func(int) []byte {
	return func(i int) []byte {
		const most = 1<<32 - 1
		b := words(head(i, most), 1, 65535, 1, 1, 100, 100, 0, 1, 2, most, 1, 65535, 1, 65535, 0, 65535)
		return append(b, make([]byte, 60_000)...)
	}
}

// interfaces has generic counters (format 1) of 500 of them.
func interfaces(m *maker) func(int) []byte {
	return func(i int) []byte {
		b := head(i, 500)
		for k := range 500 {
			b = words(b, 2, 12+8+88, 1, uint32(k), 1, 1, 88, m.Uint32(), 6, 0, 1000, 1, 3)
			b = append(b, make([]byte, 88-24)...)
		}
		return b
	}
}

// gateways has an extended_gateway in each sample, with an AS path and communities of length numbers each.
func gateways(atOnce, length int) func(*maker) func(int) []byte {
	return func(m *maker) func(int) []byte {
		return func(i int) []byte {
			b := head(i, atOnce)
			for range atOnce {
				g := words(nil, 1, 0x0a000001, m.Uint32(), m.Uint32(), m.Uint32(), 1, 2, uint32(length))
				for range length {
					g = words(g, m.Uint32())
				}
				g = words(g, uint32(length))
				for range length {
					g = words(g, m.Uint32())
				}
				g = words(g, 100)
				b = words(b, 1, uint32(32+40+8+len(g)), 1, m.Uint32(), m.Uint32(), 1000, 0, m.Uint32(), m.Uint32(), 2)
				b = words(b, 3, 32, 100, uint32(m.IntN(256)), m.Uint32(), m.Uint32(), 80, 81, 0, 0)
				b = append(words(b, 1003, uint32(len(g))), g...)
			}
			return b
		}
	}
}
