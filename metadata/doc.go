// Package metadata owns what is known of devices, interfaces, circuits, applications, organizations, AS numbers and
// prefixes: it imports it from files and the net, keeps every version in the meta_* tables, and makes the snapshots
// that package enrich looks things up in.
//
// The way of a record: a source (files, caida, geo or a registry) reads it, record gives its values the types of the
// table's columns and a hash, Loader compares the hash with the newest version in the table and writes a new version
// where it differs, and Build makes a snapshot of the newest versions. Refresher does all that on its intervals and
// when a file changes.
//
// Two tables are our own. meta_as_prefix has the ASN blocks, versioned like the others, so that an address gets the AS
// of the longest of them. meta_source says which source has which record: rows of the meta_* tables are never deleted,
// but a record that no source has any more stops matching. A record that meta_source does not know, because another
// program wrote it, matches.
//
// A file's records are listed under its absolute path. A file that is removed while a Refresher runs takes its records
// with it; one that is removed while none runs leaves them in force until Loader.Forget is told of it. Collectors that
// share tables must have the same files: each would otherwise make the records of the others vanish.
//
// A table of prefixes has millions of records. Nothing here has the engine group or sort them: they are read in the
// order of the table's key and compared here.
//
// A source that is a list of files or URLs is described by a source.Registry: its table, its reader, its schedule and
// its place in the snapshot. Registries has a line for each. What a snapshot is made of is described by a source.Kind
// each.
//
// It imports enrich, the schema's settings and the ClickHouse client.
package metadata
