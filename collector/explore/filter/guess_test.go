package filter

import (
	"errors"
	"strings"
	"testing"
)

// Filters that people write who know tcpdump, nfdump, Wireshark, akvorado or SQL, but not this language.
func TestParse_asPeopleGuess(t *testing.T) {
	for text, want := range map[string]string{
		// tcpdump, nfdump
		"host 192.0.2.4":                 "[host = 192.0.2.4]",
		"src.as = 64500 or 64501":        "or([src.as = 64500] [src.as = 64501])",
		"src as AS1 or AS2 and tcp":      "or([src.as = AS1] and([src.as = AS2] [proto = tcp]))",
		"src 192.0.2.1 or 192.0.2.2":     "or([src = 192.0.2.1] [src = 192.0.2.2])",
		"dst port 80 or 443":             "or([dst.port = 80] [dst.port = 443])",
		"not port 80 or AS1":             "or(not([port = 80]) [as = AS1])",
		"proto = 6 or 192.0.2.1":         "or([proto = tcp] [ip = 192.0.2.1])",
		"tcp/443 or udp/53":              "or([app = tcp/443] [app = udp/53])",
		"192.0.2.*":                      "[ip = 192.0.2.*]",
		"src.ip like '10.%'":             "[src.ip in 10.*]",
		"bytes ≥ 1M src.as ≠ 1":          "and([bytes >= 1M] not([src.as = 1]))",
		"org = “Uni A” or org = ‘B C’":   "or([org = Uni A] [org = B C])",
		"org = „Côte d’Ivoire“":          "[org = Côte d’Ivoire]",
		"src host 192.0.2.4":             "[src.ip = 192.0.2.4]",
		"src net 10/8":                   "[src.ip = 10/8]",
		"dst net 192.0.2.0/24 and tcp":   "and([dst.ip = 192.0.2.0/24] [proto = tcp])",
		"net 2001:db8::/32":              "[ip = 2001:db8::/32]",
		"port 443":                       "[port = 443]",
		"port 80,443":                    "[port in 80|443]",
		"portrange 6000-6008":            "[portrange = 6000-6008]",
		"src port 53 or dst port 53":     "or([src.port = 53] [dst.port = 53])",
		"tcp port 443":                   "and([proto = tcp] [port = 443])",
		"proto tcp":                      "[proto = tcp]",
		"proto 6":                        "[proto = tcp]",
		"udp and not port 53":            "and([proto = udp] not([port = 53]))",
		"icmp or icmp6":                  "or([proto = icmp] [proto = ipv6-icmp])",
		"ipv6":                           "[version = 6]",
		"inet and dst port 22":           "and([version = 4] [dst.port = 22])",
		"src as 64500":                   "[src.as = 64500]",
		"as 64500":                       "[as = 64500]",
		"AS64500":                        "[as = AS64500]",
		"AS 64500":                       "[AS = 64500]",
		"192.0.2.1 and 198.51.100.0/24":  "and([ip = 192.0.2.1] [ip = 198.51.100.0/24])",
		"in if core1::up":                "[in.if = core1::up]",
		"out if core1::up and proto gre": "and([out.if = core1::up] [proto = gre])",
		"flags S":                        "[flags = 2]",
		"flags = SYN+ACK":                "[flags = 18]",
		"flags ~ syn":                    "[flags ~ 2]",
		"router ip 192.0.2.1":            "[device = 192.0.2.1]",
		"from AS64500 to AS64501":        "and([src.as = AS64500] [dst.as = AS64501])",
		"to 192.0.2.0/24":                "[to = 192.0.2.0/24]",
		"multicast and not port 5353":    "and([dst.ip in 224.0.0.0/4|ff00::/8] not([port = 5353]))",
		"src country CH":                 "[src.country = CH]",
		// akvorado
		"SrcAS = AS64500 AND DstPort IN (80, 443)": "and([SrcAS = AS64500] [DstPort in 80|443])",
		"SrcAddr << 192.0.2.0/24":                  "[SrcAddr in 192.0.2.0/24]",
		"DstAddr !<< 192.0.2.0/24":                 "not([DstAddr in 192.0.2.0/24])",
		"SrcAS NOTIN (64500, 64501)":               "not([SrcAS in 64500|64501])",
		`ExporterName LIKE "core%"`:                "[ExporterName in core*]",
		`ExporterName UNLIKE core%`:                "not([ExporterName in core*])",
		"EType = ipv6":                             "[EType = 6]",
		// Wireshark
		"ip.src == 192.0.2.1 && ip.proto == 17": "and([ip.src = 192.0.2.1] [ip.proto = udp])",
		"ip.addr eq 192.0.2.1 || !(port gt 80)": "or([ip.addr = 192.0.2.1] not([port > 80]))",
		"port in {80, 443}":                     "[port in 80|443]",
		"org contains uni":                      "[org ~ uni]",
		// SQL
		"src_as_id <> 64500":                        "not([src_as_id = 64500])",
		"dst_port BETWEEN 1024 AND 65535 AND as=1":  "and([dst_port between 1024-65535] [as = 1])",
		"bytes not between 1k and 10M":              "not([bytes between 1k-10M])",
		"protocol = 'tcp' AND src_country IS NULL":  "and([protocol = tcp] [src_country = unknown])",
		"dst_country is not null":                   "not([dst_country = unknown])",
		"org not like '%uni%'":                      "not([org in *uni*])",
		"org like uni":                              "[org ~ uni]",
		"src.as = 64500, 64501":                     "[src.as in 64500|64501]",
		"src.as != (64500, 64501)":                  "not([src.as in 64500|64501])",
		"src.as = 64500 dst.as = 64501":             "and([src.as = 64500] [dst.as = 64501])",
		`as = "AS64500 UNI-A"`:                      "[as = AS64500 UNI-A]",
		"app = 443/tcp":                             "[app = tcp/443]",
		"dscp = EF or dscp = af41 or dscp in (cs1)": "or([dscp = 46] [dscp = 34] [dscp in 8])",
	} {
		x, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := x.text(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
		if field, err := unknown(x); err != nil {
			t.Errorf("%s: the field %s: %v", text, field, err)
		}
	}
}

// unknown returns the first field of a filter that there is none of, or that has another value.
func unknown(x *Expr) (name string, err error) {
	x.Tests(func(test *Expr) {
		f, ok := Lookup(Canonical(test.Field))
		if err != nil {
			return
		}
		if name = test.Field; !ok {
			var names []string
			for _, f := range Fields() {
				names = append(names, f.Name)
			}
			err = test.Unknown(names)
		}
		for _, v := range test.Values {
			switch f.Kind {
			case Number, Size:
				if _, _, bad := NumberRange(v.Text, f.Kind); bad != nil && test.Compare != Like {
					err = test.misread(v, f.Kind)
				}
			case Address:
				if _, _, bad := AddressRange(v.Text); bad != nil {
					err = test.misread(v, f.Kind)
				}
			}
		}
	})
	return name, err
}

// What cannot be taken is marked, and the error says what to write.
func TestParse_saysWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		"src.as != 64500 or |64501|": "several values of a field stand in parentheses",
		"org = Uni or |64501|":       "several values of a field stand in parentheses",
		"|https|":                    "stands alone: write what it is, such as app = https",
		"tcp and |lhcone| or udp":    "such as app = lhcone",
		"bytes > 10 |MB|":            "without a space before it: 10M",
		"org |=~| '^uni'":            "there are no regular expressions",
		"org |matches| uni":          "there are no regular expressions",
		"org = |“Uni\"|":             "the quote is not closed",
		"|`|org` = uni":              `write quotes as "`,
		"src.as = 1|;| drop table":   "no semicolon",
		"port = |https|":             "names are those of app: app = https",
		"src = |example.org|":        "neither an address nor a prefix, such as 192.0.2.0/24",
		"src = |UNI-A|":              "write src.as, src.org, src.port",
		"|start_time| > 2026-01-01":  "the time is chosen beside the filter",
		"|bps| > 1G":                 "not by rates",
		"|tcp.port| == 443":          "write proto = tcp and port",
		"|src.prot| = 80":            "did you mean src.port?",
		"192.0.2.1 |→| 192.0.2.2":    "write src = … and dst = …",
		"port = |9-1|":               "port is a number, such as 443 or 8000-8100",
		"ip = |192.0.2.9-192.0.2.1|": "neither an address",
		"ip = |192.0.2.0/33|":        "neither an address nor a prefix",
		"bytes > |1X|":               "bytes is a number, such as 1500, 10k or 2.5M",
		"flags = |SYX|":              "names of flags, such as SYN+ACK",
		"proto |src| 192.0.2.1":      "expected =, !=, <, >, ~ or in after proto",
		"port between 1 |or| 5":      "expected and, and the highest value",
	} {
		parts := strings.Split(text, "|")
		plain := strings.Join(parts, "")
		x, err := Parse(plain)
		if err == nil {
			_, err = unknown(x)
		}
		var bad *Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", plain, err)
			continue
		}
		if !strings.Contains(bad.Text, want) {
			t.Errorf("%s: %s, want %s", plain, bad.Text, want)
		}
		if bad.At != len(parts[0]) || bad.Len != len(parts[1]) {
			t.Errorf("%s: the place is %q", plain, plain[bad.At:bad.At+bad.Len])
		}
	}
}

func TestAddressRange(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7":           "::ffff:192.0.2.7 ::ffff:192.0.2.7",
		"192.0.2.77/24":       "::ffff:192.0.2.0 ::ffff:192.0.2.255",
		"10/8":                "::ffff:10.0.0.0 ::ffff:10.255.255.255",
		"172.16/12":           "::ffff:172.16.0.0 ::ffff:172.31.255.255",
		"0/0":                 "::ffff:0.0.0.0 ::ffff:255.255.255.255",
		"192.0.2.1-192.0.2.9": "::ffff:192.0.2.1 ::ffff:192.0.2.9",
		"2001:DB8::1":         "2001:db8::1 2001:db8::1",
		"[2001:db8::1]":       "2001:db8::1 2001:db8::1",
		"2001:db8::7/32":      "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
		"::/0":                ":: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"192.0.2.*":           "::ffff:192.0.2.0 ::ffff:192.0.2.255",
		"10.*":                "::ffff:10.0.0.0 ::ffff:10.255.255.255",
		"10.1.*.*":            "::ffff:10.1.0.0 ::ffff:10.1.255.255",
		"192.0.2.1.*":         "", ".*": "", "*": "", "a.*": "", "192.*.2.*": "", "2001:db8.*": "",
		"": "", "10": "", "10/": "", "/8": "", "10.1.2.3.4/8": "",
		"fe80::1%eth0": "", "fe80::1%eth0/64": "",
		"192.0.2.1-": "", "-": "", "192.0.2.1-2001:db8::": "::ffff:192.0.2.1 2001:db8::", "[192.0.2.1": "", "a/8": "",
		"192.0.2.9-192.0.2.1": "",
	} {
		from, to, err := AddressRange(text)
		got := ""
		if err == nil {
			got = from.String() + " " + to.String()
		}
		if got != want {
			t.Errorf("%q is %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "010": 10, "0x1F": 31, "1500": 1500, "10k": 10_000,
		"2.5M": 2_500_000,
		"1G":   1e9, "2TB": 2e12, "4KiB": 4096, "1Mi": 1 << 20, "9223372036854775807": 1<<63 - 1} {
		if n, err := WholeNumber(text, Size); err != nil || n != want {
			t.Errorf("%s is %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "k", "B", "-1", "1e400M", "NaNk", "Infk", "9999999P", "1.5", "1 k", "kk", "iB"} {
		if n, err := WholeNumber(text, Size); err == nil {
			t.Errorf("%q is %d", text, n)
		}
	}
	if n, err := WholeNumber("10k", Number); err == nil {
		t.Errorf("a number with a unit is %d", n)
	}
	for text, want := range map[string][2]uint64{"80": {80, 80}, "1000-2000": {1000, 2000}, "5-5": {5, 5}} {
		if from, to, err := NumberRange(text, Number); err != nil || [2]uint64{from, to} != want {
			t.Errorf("%s is %d to %d, %v", text, from, to, err)
		}
	}
	for _, text := range []string{"2-1", "-", "1-", "-1", "1-2-3"} {
		if from, to, err := NumberRange(text, Number); err == nil {
			t.Errorf("%q is %d to %d", text, from, to)
		}
	}
}

func TestASNumbers(t *testing.T) {
	for text, want := range map[string][2]uint32{"64500": {64500, 64500}, "AS64500": {64500, 64500},
		"as1.10":        {65546, 65546},
		"AS64500 UNI-A": {64500, 64500}, "64512-65534": {64512, 65534}, "AS1-AS2": {1, 2}} {
		if from, to, ok := ASRange(text); !ok || [2]uint32{from, to} != want {
			t.Errorf("%s is %d to %d, %v", text, from, to, ok)
		}
	}
	for _, text := range []string{"", "AS", "UNI-A", "2-1", "4294967296", "1.65536", "1.", "AS-SET", "64500 UNI-A"} {
		if from, to, ok := ASRange(text); ok {
			t.Errorf("%q is %d to %d", text, from, to)
		}
	}
}

// Every field is found by its name, in any case and with other signs between, and no name means two fields.
func TestCanonical(t *testing.T) {
	for _, f := range Fields() {
		for _, name := range []string{f.Name, strings.ToUpper(f.Name), strings.ReplaceAll(f.Name, ".", "_"),
			strings.ReplaceAll(f.Name, ".", "-"), strings.ReplaceAll(f.Name, ".", "")} {
			if got := Canonical(name); got != f.Name {
				t.Errorf("%s is %s, want %s", name, got, f.Name)
			}
		}
	}
	for alias, name := range aliases {
		if _, ok := Lookup(name); !ok && !strings.HasSuffix(name, "ifindex") {
			t.Errorf("%s stands for %s, which is no field", alias, name)
		}
		if name != "ifindex" && Canonical(alias) != name {
			t.Errorf("%s is %s, want %s", alias, Canonical(alias), name)
		}
	}
	for name, want := range map[string]string{"SrcAS": "src.as", "DstAddr": "dst.ip", "InIfName": "in.if",
		"src":         "src.ip",
		"destination": "dst.ip", "source.asn": "src.as", "peer_as_id": "next.as", "in_interface_id": "in.if",
		"egress.if": "out.if", "nonsense": "nonsense", "in": "in"} {
		if got := Canonical(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestHoldsIPv4(t *testing.T) {
	for text, want := range map[string]bool{"::/0": true, "::/64": true, "2001:db8::/32": false,
		"::ffff:0:0/97": false} {
		from, to, err := AddressRange(text)
		if err != nil || HoldsIPv4(from, to) != want {
			t.Errorf("%s: %v, %v", text, HoldsIPv4(from, to), err)
		}
	}
}
