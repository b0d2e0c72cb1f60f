package pmacct

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// samplingMap converts a sampling_map: lines of id=RATE ip=EXPORTER, with in=INTERFACE if the rate is that of one
// interface.
func (c *conversion) samplingMap(s *Setting) {
	const path = "decoder.sampling_rates"
	err := readFile(s.Value, func(r *reader, line string) {
		at := &Setting{File: r.path, Line: r.line, Key: s.Key, Value: line}
		before := len(r.problems) + r.more
		var rate, in uint64
		var exporter netip.Prefix
		missing, withIn := "", false
		pairs(r, line, func(key, value string) (err error) {
			switch key {
			case "id":
				rate, err = strconv.ParseUint(value, 10, 32)
			case "ip":
				exporter, err = prefix(value)
			case "in":
				withIn = true
				if in, err = strconv.ParseUint(value, 10, 32); strings.HasPrefix(value, "-") {
					missing, err = "rates of all other interfaces", nil
				}
			case "out":
				missing = "rates of output interfaces"
			default:
				err = fmt.Errorf("is not a key of this map: id, ip, in, out")
			}
			return err
		})
		switch {
		case before < len(r.problems)+r.more:
			return
		case rate == 0 || !exporter.IsValid():
			r.wrong("id and ip are needed")
			return
		case !exporter.IsSingleIP():
			missing = "rates of prefixes"
		}
		if missing != "" {
			c.missing(at, missing+" have no counterpart: set "+path+" by exporter")
			return
		}
		name := exporter.Addr().String()
		if withIn {
			name += "/" + strconv.FormatUint(in, 10)
		}
		c.pair(at, path, name, strconv.FormatUint(rate, 10))
	})
	c.unreadable(s, err)
}

// pair adds an entry to a mapping. Of several entries with one key the first counts, as in pmacct's maps.
func (c *conversion) pair(s *Setting, path, key, value string) {
	o := c.setting(path)
	for _, p := range o.Pairs {
		if p[0] == key {
			c.say(s, NotNeeded, "an earlier line has "+key)
			return
		}
	}
	o.Pairs = append(o.Pairs, [2]string{key, value})
	o.note(s)
}

// teeReceivers converts the receivers of forwarded datagrams: lines of id=POOL ip=HOST:PORT,HOST:PORT.
func (c *conversion) teeReceivers(s *Setting) {
	err := readFile(s.Value, func(r *reader, line string) {
		at := &Setting{File: r.path, Line: r.line, Key: s.Key, Value: line}
		receivers, missing := "", ""
		pairs(r, line, func(key, value string) error {
			switch key {
			case "id":
			case "ip":
				receivers = value
			case "tag":
				missing = "datagrams are not chosen by tags"
			case "balance-alg":
				missing = "datagrams are not spread over receivers"
			case "src_port", "kafka_broker", "kafka_topic", "zmq_address":
				missing = key + " has no counterpart"
			default:
				return fmt.Errorf("is not a key of this map: id, ip, tag, balance-alg, src_port")
			}
			return nil
		})
		if missing != "" {
			c.missing(at, missing)
			return
		}
		for receiver := range strings.SplitSeq(receivers, ",") {
			if receiver != "" {
				c.add(at, "forward.to", receiver)
			}
		}
	})
	c.unreadable(s, err)
}

// preprocess converts the minimum packets and bytes of a flow.
func (c *conversion) preprocess(s *Setting) {
	for action := range strings.SplitSeq(s.Value, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(action), "=")
		at := *s
		at.Value = strings.TrimSpace(value)
		switch key = strings.TrimSpace(key); key {
		case "minp", "minb":
			if _, ok := c.number(&at); ok {
				c.set(&at, map[string]string{"minp": "flow.min_packets", "minb": "flow.min_bytes"}[key],
					plainText(at.Value))
			}
		default:
			at.Value = action
			c.missing(&at, "only minp and minb have a counterpart")
		}
	}
}
