package rtr

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Messages of the shapes of RFC 8210 section 5, byte by byte.
func TestParse(t *testing.T) {
	tests := []struct {
		name, hex string
		want      Message
		code      ErrorCode
		wrong     string // a part of the error's text
	}{
		{name: "serial notify", hex: "01000007 0000000c 00000009",
			want: Message{Version: 1, Type: SerialNotify, Session: 7, Serial: 9}},
		{name: "cache response", hex: "00030007 00000008", want: Message{Type: CacheResponse, Session: 7}},
		{name: "IPv4 announced", hex: "01040000 00000014 01081800 0a000000 0000fbf4",
			want: Message{Version: 1, Type: IPv4Prefix, Announce: true, Prefix: netip.MustParsePrefix("10.0.0.0/8"),
				MaxLength: 24, AS: 64500}},
		{name: "IPv4 withdrawn, bits beyond the length", hex: "01040000 00000014 00081800 0a0000ff 0000fbf4",
			want: Message{Version: 1, Type: IPv4Prefix, Prefix: netip.MustParsePrefix("10.0.0.0/8"),
				MaxLength: 24, AS: 64500}},
		{name: "IPv6", hex: "01060000 00000020 01203000 20010db8 00000000 00000000 00000000 ffffffff",
			want: Message{Version: 1, Type: IPv6Prefix, Announce: true,
				Prefix: netip.MustParsePrefix("2001:db8::/32"), MaxLength: 48, AS: 1<<32 - 1}},
		{name: "end of data, version 1", hex: "01070007 00000018 00000009 00000e10 00000258 00001c20",
			want: Message{Version: 1, Type: EndOfData, Session: 7, Serial: 9, Refresh: time.Hour,
				Retry: 10 * time.Minute, Expire: 2 * time.Hour}},
		{name: "end of data, version 0", hex: "00070007 0000000c 00000009",
			want: Message{Type: EndOfData, Session: 7, Serial: 9}},
		{name: "cache reset", hex: "01080000 00000008", want: Message{Version: 1, Type: CacheReset}},
		{name: "router key", hex: "01090100 00000024 " + strings.Repeat("00", 28),
			want: Message{Version: 1, Type: RouterKey}},
		{name: "error report", hex: "000a0004 0000001a 00000008 01020000 00000008 00000002 6e6f",
			want: Message{Type: ErrorReport, Code: UnsupportedVersion, Text: "no"}},
		{name: "error report of a later version", hex: "020a0008 00000010 00000000 00000000",
			want: Message{Version: 2, Type: ErrorReport, Code: UnexpectedVersion}},

		{name: "length of another message", hex: "01080000 00000009", wrong: "length field"},
		{name: "too short", hex: "010800", wrong: "length field"},
		{name: "prefix too long", hex: "01040000 00000014 01212100 0a000000 0000fbf4", wrong: "prefix length 33"},
		{name: "maximum below the length", hex: "01040000 00000014 01180800 0a000000 0000fbf4",
			wrong: "maximum length 8"},
		{name: "maximum too long", hex: "01040000 00000014 01182100 0a000000 0000fbf4", wrong: "maximum length 33"},
		{name: "end of data of the other version", hex: "01070007 0000000c 00000009", wrong: "12 bytes instead of 24"},
		{name: "version 2", hex: "02030007 00000008", code: UnsupportedVersion, wrong: "version 2"},
		{name: "unknown type", hex: "010b0000 00000008", code: UnsupportedType, wrong: "type 11"},
		{name: "router key in version 0", hex: "00090100 00000024 " + strings.Repeat("00", 28),
			code: UnsupportedType, wrong: "version 0"},
		{name: "error report with a length beyond it", hex: "010a0000 00000010 ffffffff 00000000", wrong: "4294967295"},
		{name: "error report without a text", hex: "010a0000 0000000c 00000000", wrong: "truncated"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := hex.DecodeString(strings.ReplaceAll(test.hex, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(p)
			var wrong *Error
			switch {
			case test.wrong == "" && (err != nil || got != test.want):
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			case test.wrong != "" && (!errors.As(err, &wrong) || wrong.Code != test.code ||
				!strings.Contains(err.Error(), test.wrong)):
				t.Errorf("error %v, want %s: %s", err, test.code, test.wrong)
			}
			if test.wrong != "" {
				return
			}
			m, err := NewReader(bytes.NewReader(p)).Read()
			if err != nil || m != test.want {
				t.Errorf("read %+v, %v", m, err)
			}
		})
	}
}

// A length that nobody may send must not cost memory.
func TestReadBounds(t *testing.T) {
	for _, length := range []string{"ffffffff", "00010001", "00000007"} {
		p, _ := hex.DecodeString("01040000" + length)
		var wrong *Error
		if _, err := NewReader(bytes.NewReader(p)).Read(); !errors.As(err, &wrong) {
			t.Errorf("length %s: %v", length, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	all := []Message{
		{Version: 1, Type: SerialNotify, Session: 1, Serial: 2}, {Version: 1, Type: CacheResponse, Session: 1},
		{Version: 1, Type: IPv4Prefix, Announce: true, Prefix: netip.MustParsePrefix("10.0.0.0/8"), MaxLength: 9,
			AS: 1},
		{Version: 0, Type: IPv6Prefix, Prefix: netip.MustParsePrefix("2001:db8::/32"), MaxLength: 64, AS: 2},
		{Version: 1, Type: EndOfData, Session: 1, Serial: 3, Refresh: time.Hour, Retry: 1, Expire: 2},
		{Version: 0, Type: EndOfData, Session: 1, Serial: 3}, {Version: 1, Type: CacheReset},
		{Version: 1, Type: ErrorReport, Code: InvalidRequest, Text: "no"},
	}
	var stream []byte
	for i := range all {
		stream = all[i].Append(stream)
		f.Add(all[i].Append(nil))
	}
	f.Add(stream)
	f.Add(Query(1))
	f.Add(QuerySince(1, 2, 3))
	f.Fuzz(func(t *testing.T, p []byte) {
		r := NewReader(bytes.NewReader(p))
		for {
			m, err := r.Read()
			if cap(r.buffer) > maxBytes {
				t.Fatalf("a buffer of %d bytes", cap(r.buffer))
			}
			if err != nil {
				return
			}
			if m.Type == IPv4Prefix || m.Type == IPv6Prefix {
				if !m.Prefix.IsValid() || int(m.MaxLength) < m.Prefix.Bits() || m.Prefix != m.Prefix.Masked() {
					t.Fatalf("prefix %v up to %d", m.Prefix, m.MaxLength)
				}
				again, err := Parse(m.Append(nil))
				if err != nil || again != m {
					t.Fatalf("%+v became %+v, %v", m, again, err)
				}
			}
		}
	})
}
