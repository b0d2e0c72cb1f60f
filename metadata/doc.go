// Package metadata owns what is known of devices, interfaces, circuits, applications, organizations, AS numbers and prefixes:
// it imports it from files and the net, keeps every version in the meta_* tables, and makes the snapshots that package enrich
// looks things up in.
//
// The way of a record: a source (files, caida, geo, scireg) reads it, record gives its values the types of the table's columns
// and a hash, Loader compares the hash with the newest version in the table and writes a new version where it differs, and
// Build makes a snapshot of the newest versions. Refresher does all that on its intervals and when a file changes.
//
// Two tables are our own. meta_as_prefix has the ASN blocks, versioned like the others, so that an address gets the AS of the
// longest of them. meta_source says which source has which record: rows of the meta_* tables are never deleted, but a record
// that no source has any more stops matching. A record that meta_source does not know, because another program wrote it,
// matches.
//
// It imports enrich, the schema's settings and the ClickHouse client.
package metadata
