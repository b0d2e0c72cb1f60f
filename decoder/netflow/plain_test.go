package netflow

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

// The fields that plain steps store are those that fill would store, for random records and in every width.
func TestPlainStepsStoreWhatFillDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	record := make([]byte, 32)
	seen := map[plainOp]bool{}
	for op := range opcodeCount {
		for length := range uint16(17) {
			for arg := range uint8(2) {
				s := step{op: op, length: length, arg: arg, offset: 7}
				plain := s.plain()
				if plain == notPlain {
					continue
				}
				seen[plain] = true
				if !fits(op, int(length)) {
					t.Errorf("opcode %d is plain with a length of %d, which it cannot have", op, length)
					continue
				}
				for range 100 {
					for i := range record {
						record[i] = byte(random.Uint32())
					}
					var d Decoder
					var wantRecord, gotRecord flow.Record
					var wantRaw, gotRaw raw
					d.fill([]step{s}, record, &wantRecord, &wantRaw, &context{})
					fillPlain([]plainStep{{plain, s.offset}}, record, &gotRecord, &gotRaw)
					if diff := cmp.Diff(wantRecord, gotRecord) + diffRaw(&wantRaw, &gotRaw); diff != "" {
						t.Fatalf("opcode %d of %d bytes: (-fill +plain)\n%s", op, length, diff)
					}
				}
			}
		}
	}
	for op := notPlain + 1; op <= plainDirection; op++ {
		if !seen[op] {
			t.Errorf("no field has the plain step %d", op)
		}
	}
}

func diffRaw(a, b *raw) string {
	return cmp.Diff(a.usual, b.usual, cmp.AllowUnexported(usual{}, counter{}))
}

// Fields of one element that occurs twice stay in order, whatever their widths: the last one counts.
func TestPlainStepsKeepTheOrder(t *testing.T) {
	for _, widths := range [][2]uint16{{1, 1}, {1, 2}, {2, 1}} {
		tm := &template{id: 256, fields: []field{{ID: 9, Length: widths[0]}, {ID: 9, Length: widths[1]}}}
		newCompiler().compile(tm)
		record := make([]byte, widths[0]+widths[1])
		record[widths[0]-1], record[len(record)-1] = 8, 24
		var d Decoder
		var r flow.Record
		for _, run := range tm.runs {
			fillPlain(run.plain, record, &r, &d.raw)
			d.fill(run.plan, record, &r, &d.raw, &context{})
		}
		if d.raw.mask4Src != 24 {
			t.Errorf("widths %v: mask %d, want 24, the last", widths, d.raw.mask4Src)
		}
	}
}
