package netflow

// work limits the work for one datagram. Exporters keep datagrams within the path's MTU (RFC 7011 §10.3.3), 9216 bytes
// with jumbo frames. Anything beyond these limits is malicious.
type work struct {
	sets, definitions, options, records int
	newDefinitions, news                int  // what was not known before; news are rates and names
	held                                int  // sets that wait for a template
	size                                int  // bytes of the datagram
	waits                               bool // sets that waited or wait count here, whenever they are decoded
}

// Limits of each kind of work, times source.scale.
const (
	maxSets        = 1024
	maxDefinitions = 512
	maxOptions     = 1024
	maxNews        = 256
	maxHeld        = 256
)

// Sizes of datagrams, in bytes: the MTU of Ethernet, and that of jumbo frames.
const ethernetFrame, jumboFrame = 1500, 9216

// then returns the work of the next datagram, in the same memory if no set can count on it any more.
func (w *work) then(size int) *work {
	if w.waits {
		w = new(work)
	}
	*w = work{size: size}
	return w
}

// mostNews is how many new rates and names a message of the source may teach. What is new costs several times as much
// as what is repeated, which exporters do all the time. A datagram of 1500 bytes has no more than maxNews sampling
// rates with what they are of; a jumbo frame has twice as many, if each has 18 bytes. A rate of several things counts
// as the entries that it makes, three or more, because it costs as much more. Of larger datagrams, which no network
// carries whole, there are half as many. What is beyond is new when it is repeated. Of definitions, which cost more,
// maxNews may be new in any datagram.
func (w *work) mostNews(src *source) int {
	switch {
	case w.size <= ethernetFrame:
		return maxNews * src.scale
	case w.size <= jumboFrame:
		return 2 * maxNews * src.scale
	}
	return maxNews / 2 * src.scale
}
