package pmacct

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Converted is a configuration of pmacct, converted to settings of the collector.
type Converted struct {
	Settings []Ours   // sorted by path
	Remarks  []Remark // lines that were not taken or differ, in the order of the files
	Problems []error  // lines and files that are wrong or cannot be read
}

// Ours is a setting of the collector. Its value is Text, List or Pairs.
type Ours struct {
	Path  string
	Text  string      // a single value
	Plain bool        // Text is a number or a word, which needs no quotes
	List  []string    // a list
	Pairs [][2]string // a mapping, in order
	From  []string    // the lines that it comes from, each as FILE:LINE: KEY
}

// Remark says why a line was not taken, or how the collector's setting differs.
type Remark struct {
	Where string // FILE:LINE
	Key   string
	Fate  Fate
	Text  string
}

// String returns a remark as one line.
func (r Remark) String() string {
	return fmt.Sprintf("%s: %s: %s: %s", r.Where, r.Key, r.Fate, r.Text)
}

// plainText is a value that is written without quotes: a number or a word.
type plainText string

// daemon has the lines that say whether and where pmacct listens for BGP or BMP.
type daemon struct {
	on       bool
	ip, port string
	settings []*Setting
}

// conversion is the state of one call of Convert.
type conversion struct {
	Converted
	ours    map[string]*Ours
	daemons map[string]*daemon // bgp, bmp
	// lines with ports and addresses to listen on, by daemon: nfacctd, sfacctd
	ports, ips   map[string][]*Setting
	nets         *Setting // the line of aggregate if it has networks or masks
	netsOfRoutes bool     // networks are taken from routes
	kafka        bool     // the plugin kafka is used
	brokers      *Setting
	brokerPort   *Setting
}

// Convert converts configurations of nfacctd and sfacctd to one configuration of the collector. It also reads the files
// that they name if their contents become settings.
func Convert(paths []string) *Converted {
	c := &conversion{ours: map[string]*Ours{}, daemons: map[string]*daemon{}, ports: map[string][]*Setting{},
		ips: map[string][]*Setting{}}
	table := Counterparts()
	for _, path := range paths {
		settings, err := ReadConf(path)
		c.problems("", err)
		c.file(table, path, settings)
	}
	for _, o := range c.ours {
		c.Settings = append(c.Settings, *o)
	}
	slices.SortFunc(c.Settings, func(a, b Ours) int { return cmp.Compare(a.Path, b.Path) })
	return &c.Converted
}

// problems adds the lines of an error. before says what each is about; "" if they say it themselves.
func (c *conversion) problems(before string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		c.Problems = append(c.Problems, errors.New(before+line))
	}
}

// file converts the lines of one file, which configures one daemon. Settings that need several lines are made at its
// end.
func (c *conversion) file(table []Subject, path string, settings []Setting) {
	clear(c.daemons)
	clear(c.ports)
	clear(c.ips)
	c.nets, c.netsOfRoutes, c.kafka, c.brokers, c.brokerPort = nil, false, false, nil, nil
	daemon := daemonOf(path, settings)
	for i := range settings {
		s := &settings[i]
		r := counterpart(table, s.Key)
		switch {
		case r == nil:
			c.Problems = append(c.Problems, fmt.Errorf("%s: %s: is no key of pmacct", s.Where(), s.Key))
		case r.take != nil:
			r.take(c, s)
		default:
			c.say(s, r.Fate, strings.ReplaceAll(r.Notes, "`", ""))
		}
	}
	c.listenOn(daemon)
	c.sessions()
	c.brokersOf()
	if c.nets != nil && c.netsOfRoutes {
		c.extension(c.nets, "bgp_meta")
	}
	if topic := c.ours["kafka.topic"]; topic != nil {
		if c.ours["kafka.format"] == nil {
			c.ours["kafka.format"] = &Ours{Path: "kafka.format", Text: "pmacct-json", Plain: true,
				From: []string{path + ": the plugin kafka sends JSON"}}
		}
	} else if c.kafka {
		c.Problems = append(c.Problems, fmt.Errorf("%s: the plugin kafka has no kafka_topic: set kafka.topic", path))
	}
}

// daemonOf returns nfacctd or sfacctd: by the first key that begins with a daemon's name, else by the file's name.
func daemonOf(path string, settings []Setting) string {
	for i := range settings {
		for _, name := range []string{"sfacctd", "nfacctd"} {
			if strings.HasPrefix(settings[i].Key, name+"_") {
				return name
			}
		}
	}
	if strings.Contains(filepath.Base(path), "sfacctd") {
		return "sfacctd"
	}
	return "nfacctd"
}

// listen remembers a line with an address or a port for NetFlow, IPFIX or sFlow.
func (c *conversion) listen(s *Setting) {
	name, what, _ := strings.Cut(s.Key, "_")
	if what == "ip" {
		c.ips[name] = append(c.ips[name], s)
		return
	}
	if n, ok := c.number(s); ok && n > 0 && n < 1<<16 {
		c.ports[name] = append(c.ports[name], s)
	}
}

// defaultPorts are the ports on which pmacct's daemons listen by default.
var defaultPorts = map[string]string{"nfacctd": "2100", "sfacctd": "6343"}

// listenOn adds the address on which a daemon listens to listen.addresses.
func (c *conversion) listenOn(name string) {
	host, port := "", defaultPorts[name]
	from := &Setting{Key: "the default port of " + name}
	if all := c.ips[name]; len(all) > 0 {
		from = all[len(all)-1]
		if host = from.Value; host == "0.0.0.0" || host == "::" {
			host = "" // all addresses of both families
		}
	}
	if all := c.ports[name]; len(all) > 0 {
		from = all[len(all)-1]
		port = from.Value
	}
	c.add(from, "listen.addresses", net.JoinHostPort(host, port))
}

// sessions sets where the collector listens for BGP and BMP, and which routers may connect.
func (c *conversion) sessions() {
	for _, p := range []struct{ name, port, listen, who, file string }{
		{"bgp", "179", "routing.bgp.listen", "routing.bgp.neighbors", "routing.bgp.allow_file"},
		{"bmp", "1790", "routing.bmp.listen", "routing.bmp.allowed", "routing.bmp.allowed"},
	} {
		d := c.daemons[p.name]
		if d == nil {
			continue
		}
		last := d.settings[len(d.settings)-1]
		if !d.on {
			c.say(last, NotNeeded, p.name+"_daemon is not true")
			continue
		}
		host := d.ip
		if host == "0.0.0.0" || host == "::" {
			host = ""
		}
		c.add(last, p.listen, net.JoinHostPort(host, cmp.Or(d.port, p.port)))
		if c.ours[p.file] == nil && c.ours[p.who] == nil {
			c.add(last, p.who, "0.0.0.0/0")
			c.add(last, p.who, "::/0")
			c.say(last, Taken, "without an allow file pmacct lets every router in: narrow "+p.who)
		}
	}
}

// set sets a setting with a single value, a string or plainText. A later line replaces an earlier one.
func (c *conversion) set(s *Setting, path string, value any) {
	o := &Ours{Path: path, From: []string{s.from()}}
	switch v := value.(type) {
	case plainText:
		o.Text, o.Plain = string(v), true
	case string:
		o.Text = v
	}
	switch {
	case o.Text == "":
		c.wrong(s, "has no value")
		return
	case strings.Contains(o.Text, "${"):
		c.wrong(s, "has ${, which begins a variable in our file: set "+path+" yourself")
		return
	}
	if was := c.ours[path]; was != nil && was.Text != o.Text {
		c.say(s, Taken, "replaces "+path+" of "+strings.Join(was.From, ", "))
	}
	c.ours[path] = o
}

// add adds a value to a list, if it does not have it yet.
func (c *conversion) add(s *Setting, path, value string) {
	o := c.setting(path)
	if value == "" {
		c.wrong(s, "has no value")
	} else if !slices.Contains(o.List, value) {
		o.List = append(o.List, value)
	}
	o.note(s)
}

// setting returns the setting at a path, an empty one if there was none.
func (c *conversion) setting(path string) *Ours {
	o := c.ours[path]
	if o == nil {
		o = &Ours{Path: path}
		c.ours[path] = o
	}
	return o
}

// note adds a line to those that a setting comes from.
func (o *Ours) note(s *Setting) {
	if from := s.from(); !slices.Contains(o.From, from) {
		o.From = append(o.From, from)
	}
}

// extension adds a flow extension to flow.extensions, which starts with those of the default.
func (c *conversion) extension(s *Setting, name string) {
	const path = "flow.extensions"
	if c.ours[path] == nil {
		c.ours[path] = &Ours{Path: path, List: []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}}
	}
	c.add(s, path, name)
}

func (s *Setting) from() string {
	if s.File == "" {
		return s.Key
	}
	return s.Where() + ": " + s.Key
}

func (c *conversion) say(s *Setting, fate Fate, text string) {
	c.Remarks = append(c.Remarks, Remark{s.Where(), s.Key, fate, text})
}

// shown returns a value in quotes for a message. Passwords are left out.
func (s *Setting) shown() string {
	if strings.Contains(s.Key, "passw") {
		return "the value (not shown)"
	}
	return strconv.Quote(s.Value)
}

// missing remarks that a value has no counterpart.
func (c *conversion) missing(s *Setting, why string) {
	c.say(s, Missing, s.shown()+": "+why)
}

// wrong adds a problem with a line.
func (c *conversion) wrong(s *Setting, why string) {
	c.Problems = append(c.Problems, fmt.Errorf("%s: %s: %s %s", s.Where(), s.Key, s.shown(), why))
}

// unreadable adds the problems of a file that a line names.
func (c *conversion) unreadable(s *Setting, err error) {
	c.problems(fmt.Sprintf("%s: %s: ", s.Where(), s.Key), err)
}

// yes parses a value that must be true or false. Anything else is a problem, and false.
func (c *conversion) yes(s *Setting) bool {
	switch strings.ToLower(s.Value) {
	case "true":
		return true
	case "false":
	default:
		c.wrong(s, "is neither true nor false")
	}
	return false
}

// number parses an unsigned 32-bit number. Anything else is a problem.
func (c *conversion) number(s *Setting) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s.Value, 10, 32)
	if err != nil {
		c.wrong(s, "is not a number up to 4294967295")
	}
	return n, err == nil
}

// prefixes adds the addresses and prefixes of the file that a line names to a list.
func (c *conversion) prefixes(s *Setting, path string) {
	all, err := ReadAllowed(s.Value)
	c.unreadable(s, err)
	for _, p := range all {
		if p.IsSingleIP() {
			c.add(s, path, p.Addr().String())
		} else {
			c.add(s, path, p.String())
		}
	}
	if err == nil && len(all) == 0 {
		c.wrong(s, "has no address: pmacct lets nobody in, an empty "+path+" here may let everybody in")
	}
}
