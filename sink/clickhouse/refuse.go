package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/quarantine"
	"github.com/metranova/flow-collector/sink/spool"
)

// handled is deliverOne's result for an insert that was refused permanently and has been dealt with.
const handled sink.Reason = "handled"

// refused deals with an insert that the server will never accept unchanged. If a view is the cause, the insert is to be
// sent again without that view, and refused returns true. Otherwise the insert is split in two again and again, until
// only the bad rows are left; these go to the quarantine, all others are stored.
//
// A part's token is made of the whole's token and the part's position, so that splitting the same insert again gives
// the same tokens. Parts may be sent only because nothing of the whole was stored: the server finds bad rows before it
// writes. After the failure of a view the table already has the rows, and after an unknown failure it may have some:
// such inserts are not split.
func (w *Writer) refused(ctx context.Context, ins *Insert, class sink.Class, err error, b *bisection) (again bool) {
	if fromView(err) && ins.viewError == nil {
		ins.viewError = err
		return true
	}
	if b == nil {
		b = &bisection{}
	}
	b.refusals++
	if ins.Rows == 1 {
		b.rowsInTurn++
	}
	if class != sink.Permanent || ins.viewError != nil || !b.worthwhile(ins, err) {
		w.quarantine(ins, lossReason(class), err)
		return false
	}
	halves, cutErr := w.halve(ins)
	if cutErr != nil {
		if ins.entry != nil && !errors.Is(cutErr, errMalformed) { // the disk is full: try later
			w.spooling.setAside(ins)
			return false
		}
		w.quarantine(ins, lossReason(class), errors.Join(err, cutErr))
		return false
	}
	for _, half := range halves {
		if half.entry != nil {
			w.spooling.deliver(ctx, half, b)
			continue
		}
		reason, err := w.deliverOne(ctx, half, b)
		w.settle(half, reason, err)
	}
	return false
}

// bisection is the state of an insert that is being split to find its bad rows.
type bisection struct {
	refusals   int  // of the insert and its parts
	rowsInTurn int  // single rows refused since the latest part that was stored
	anyStored  bool // a part was stored
}

const (
	// hopelessRows is the number of refused rows, with nothing stored, after which all rows are taken for bad.
	hopelessRows = 16
	// maxRefusals limits the failed requests for one insert; beyond it parts are no longer split.
	maxRefusals = 1000
)

// worthwhile reports whether parts of the insert may succeed although it failed.
func (b *bisection) worthwhile(ins *Insert, err error) bool {
	hopeless := b.rowsInTurn >= hopelessRows && !b.anyStored
	return ins.Rows > 1 && !hopeless && b.refusals < maxRefusals && !concernsAllRows(err)
}

// stored notes that a part was stored. A nil bisection is an insert that was not split.
func (b *bisection) stored() {
	if b != nil {
		b.anyStored, b.rowsInTurn = true, 0
	}
}

// errMalformed is the error for blocks that cannot be split.
var errMalformed = errors.New("the block cannot be cut into its rows")

// halve splits an insert in two and finishes it. If it is on disk, its parts replace it there.
func (w *Writer) halve(ins *Insert) ([]*Insert, error) {
	whole := ins.whole()
	if rows, err := native.Rows(whole); err != nil || rows != ins.Rows {
		return nil, errors.Join(errMalformed, err)
	}
	if ins.Tally.Rows() != uint64(ins.Rows) && len(ins.shares) > 0 {
		return nil, fmt.Errorf("%w: it is not known which row is of which exporter", errMalformed)
	}
	middle := ins.Rows / 2
	var halves []*Insert
	var entries []*spool.Entry
	for _, part := range [][2]int{{0, middle}, {middle, ins.Rows}} {
		data, err := native.Cut(whole, part[0], part[1])
		if err != nil {
			return nil, errors.Join(errMalformed, err)
		}
		half := &Insert{Query: ins.Query, Token: partToken(ins.Token, part[0], part[1]), Rows: part[1] - part[0],
			Data: data, Apart: ins.Apart}
		half.Tally = ins.Tally.Slice(uint64(part[0]), uint64(part[1]))
		half.shares = half.Tally.Shares()
		if ins.entry != nil {
			half.entry = w.spooling.entryOf(half)
			entries = append(entries, half.entry)
		}
		halves = append(halves, half)
	}
	if ins.entry != nil {
		if err := w.spooling.spool.Replace(ins.entry, entries...); err != nil {
			return nil, err
		}
	}
	w.counters.cut()
	w.release(ins)
	return halves, nil
}

// partToken is the token of a part: "token/0-25000"; a part of this is "token/12500-25000". Row numbers refer to the
// whole insert.
func partToken(token string, from, to int) string {
	if token == "" {
		return ""
	}
	whole, place, found := cutLast(token, "/")
	if first, _, ok := strings.Cut(place, "-"); found && ok {
		if start, err := strconv.Atoi(first); err == nil {
			return fmt.Sprintf("%s/%d-%d", whole, start+from, start+to)
		}
	}
	return fmt.Sprintf("%s/%d-%d", token, from, to)
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}

// fromView reports whether a view of the table failed, and not the table.
func fromView(err error) bool {
	var exception *chgo.Exception
	return errors.As(err, &exception) && strings.Contains(exception.Message, "while pushing to view")
}

// quarantine stores a refused insert for the operator; if that fails, it is lost.
func (w *Writer) quarantine(ins *Insert, reason sink.Reason, err error) {
	if putErr := w.keepRefused(ins, reason, err, false); putErr != nil {
		w.giveUp(ins, reason, errors.Join(err, putErr))
	} else {
		w.counters.quarantined(ins, reason)
		w.options.Book.Quarantine(ins.shares, ins.entry != nil, string(reason))
		w.log.quarantined(ins, reason, err)
		w.release(ins)
	}
	if ins.entry != nil {
		w.spooling.spool.Done(ins.entry)
	}
}

// errNoQuarantine is the error if there is no quarantine.
var errNoQuarantine = errors.New("there is no quarantine (quarantine.path)")

func (w *Writer) keepRefused(ins *Insert, reason sink.Reason, err error, stored bool) error {
	if w.options.Quarantine == nil {
		return errNoQuarantine
	}
	r := quarantine.Record{
		Reason: string(reason), Code: errorCode(err), Error: err.Error(), Stored: stored,
		Query: ins.Query, Token: ins.Token, Rows: ins.Rows,
	}
	for _, share := range ins.shares {
		r.Exporters = append(r.Exporters, share.Stream.Exporter.Netip().String())
	}
	slices.Sort(r.Exporters)
	r.Exporters = slices.Compact(r.Exporters)
	return w.options.Quarantine.Put(r, ins.whole())
}

// withoutView counts rows that are in the table but not in a view that failed, and keeps them for the view.
func (w *Writer) withoutView(ins *Insert) {
	w.counters.withoutView(ins)
	w.log.withoutView(ins)
	if err := w.keepRefused(ins, ViewFailed, ins.viewError, true); err != nil {
		w.log.notKept(ins, err)
	}
}
