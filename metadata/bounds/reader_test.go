package bounds

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReader(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(append([]byte("\ufeff"), make([]byte, 1<<20)...))
	_ = z.Close()
	for _, test := range []struct {
		name, data string
		limits     Limits
		want       int
		err        string
	}{
		{"all of it", "\ufeffabc", Limits{Total: 3, Entry: 10}, 3, ""},
		{"too much", strings.Repeat("x", 1<<20), Limits{Total: 1000}, 0, "more than the 1000 bytes allowed"},
		{"a gzip bomb", packed.String(), Limits{Total: 64 << 10}, 0, "more than the 65536 bytes allowed"},
		{"packed", packed.String(), Limits{Total: 1 << 20}, 1 << 20, ""},
		{"an entry that does not end", strings.Repeat("x", 1000), Limits{Total: 2000, Entry: 100}, 100,
			"an entry or line of more than the 100 bytes allowed"},
		{"no gzip", "\x1f\x8bxxxxxxxxxxxxxxxxxxx", Limits{Total: 100}, 0, "gzip: invalid header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := New(strings.NewReader(test.data), test.limits)
			n := int64(0)
			if err == nil {
				n, err = io.Copy(io.Discard, r)
			}
			if test.err == "" && (err != nil || int(n) != test.want) || test.err != "" &&
				(err == nil || err.Error() != test.err) {
				t.Errorf("%d bytes, %v, want %d, %q", n, err, test.want, test.err)
			}
		})
	}
	r, err := New(strings.NewReader(strings.Repeat("x", 1000)), Limits{Total: 2000, Entry: 100})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		r.Next()
	}
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`[NaN, Infinity, -Infinity, -1, "NaN -Infinity \"NaN", null]`: `[null,null,null,-1,"NaN -Infinity \"NaN",null]`,
		`{"a":NaN,"b\\":NaN}`: `{"a":null,"b\\":null}`,
		`[1]`:                 `[1]`,
	} {
		for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
			var got any
			d := json.NewDecoder(JSON(r))
			if err := d.Decode(&got); err != nil {
				t.Errorf("%s: %v", in, err)
			}
			if text, _ := json.Marshal(got); string(text) != want {
				t.Errorf("%s is %s, want %s", in, text, want)
			}
		}
	}
	for _, in := range []string{`[N]`, `[Infinit]`, `[-]`, `[-I]`} {
		if all, _ := io.ReadAll(JSON(strings.NewReader(in))); string(all) != in {
			t.Errorf("%s became %s", in, all)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`[NaN, "\"NaN", -Infinity, {"a": 1e5}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := io.ReadAll(JSON(bytes.NewReader(data)))
		if err != nil {
			t.Fatal(err)
		}
		if json.Valid(data) && !bytes.Equal(out, data) {
			t.Errorf("%q was JSON and became %q", data, out)
		}
	})
}

// FuzzReader reads anything as a file that may be compressed, and no more of it than the limits allow.
func FuzzReader(f *testing.F) {
	compressed := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}
	bomb := compressed(strings.Repeat("x", 1<<20))
	f.Add(bomb, uint16(100), uint16(0))
	f.Add(append(compressed("\xef\xbb\xbfone\n"), compressed("two\n")...), uint16(1000), uint16(10))
	f.Add(compressed(string(bomb)), uint16(0), uint16(1))
	f.Add([]byte("\xef\xbb\xbfplain"), uint16(5), uint16(2))
	f.Add([]byte("\x1f\x8b"), uint16(5), uint16(2))
	f.Fuzz(func(t *testing.T, data []byte, total, entry uint16) {
		r, err := New(bytes.NewReader(data), Limits{Total: int64(total), Entry: int64(entry)})
		if err != nil {
			return
		}
		// One read may exceed the limit; nothing comes after it.
		p := make([]byte, 512)
		n := 0
		for err == nil {
			var got int
			got, err = r.Read(p)
			n += got
		}
		if n > int(total)+len(p) || entry > 0 && n > int(entry) {
			t.Errorf("%d bytes, the limits are %d and %d: %v", n, total, entry, err)
		}
		if _, again := r.Read(p); err != io.EOF && again == nil {
			t.Errorf("more comes after %v", err)
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	data := bytes.Repeat([]byte("-1,NaN,\"a\",N"), 1<<16)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, _ = io.Copy(io.Discard, JSON(bytes.NewReader(data)))
	}
}
