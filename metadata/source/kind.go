// Package source has the descriptions of a metadata source: when and from where it is read (Source), a registry that is
// a list of files or URLs (Registry), and a kind of record in a snapshot (Kind). The packages of the sources import it;
// package metadata combines them.
package source

import (
	"context"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/tables"
)

// Kind is a kind of metadata in a snapshot, such as devices: how its records get from their table into the snapshot and
// the snapshot file, and from the file into a snapshot. Use Records to make one. It is safe for concurrent use.
type Kind interface {
	// Name is the kind's name in messages, in the plural: "devices".
	Name() string
	// Table is the standard name of the records' table.
	Table() string
	// Tag identifies the kind's records in the snapshot file.
	Tag() byte
	// Load reads the records in force from the table.
	Load(ctx context.Context, d *tables.Database, to *Target) error
	// Decode reads one record of the file, without its tag.
	Decode(d *Decoder, to *Target)
	// Count returns how many of them a snapshot has, to notice when a table has lost most of its records.
	Count(s *enrich.Stats) int
}

// Target receives records. Records of kinds for which Want returns false are dropped.
type Target struct {
	Builder *enrich.Builder
	File    *Encoder               // nil: none
	Want    func(kind string) bool // nil: all kinds
}

// Records describes a kind whose records have type T. All fields but NameOf are required; Read may be nil for a kind
// that is only read from the file.
type Records[T any] struct {
	KindName, TableName string
	FileTag             byte // 1 to 254; a tag must never get another meaning
	// NameOf returns the name of the kind that a record belongs to, if that depends on the record.
	NameOf func(T) string
	Read   func(ctx context.Context, d *tables.Database, add func(T)) error
	Add    func(*enrich.Builder, T)
	// Write appends a record's fields to the file; Parse reads them.
	Write  func(*Encoder, T)
	Parse  func(*Decoder) T
	Number func(*enrich.Stats) int
}

// Name implements Kind.
func (k *Records[T]) Name() string { return k.KindName }

// Table implements Kind.
func (k *Records[T]) Table() string { return k.TableName }

// Tag implements Kind.
func (k *Records[T]) Tag() byte { return k.FileTag }

// Count implements Kind.
func (k *Records[T]) Count(s *enrich.Stats) int { return k.Number(s) }

// Load implements Kind.
func (k *Records[T]) Load(ctx context.Context, d *tables.Database, to *Target) error {
	return k.Read(ctx, d, func(v T) { k.Put(v, to) })
}

// Decode implements Kind.
func (k *Records[T]) Decode(d *Decoder, to *Target) {
	if v := k.Parse(d); !d.bad {
		k.Put(v, to)
	}
}

// Put passes a record on.
func (k *Records[T]) Put(v T, to *Target) {
	if to.Want != nil {
		name := k.KindName
		if k.NameOf != nil {
			name = k.NameOf(v)
		}
		if !to.Want(name) {
			return
		}
	}
	if to.Builder != nil {
		k.Add(to.Builder, v)
	}
	if to.File != nil {
		to.File.begin(k.FileTag)
		k.Write(to.File, v)
		to.File.end()
	}
}
