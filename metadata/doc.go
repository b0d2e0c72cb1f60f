// Package metadata owns the knowledge of devices, interfaces, circuits, applications, organizations, AS numbers and
// prefixes. It imports it from files and the internet, keeps every version in the meta_* tables, and builds the
// snapshots that package enrich uses.
//
// The way of a record: a source (files, caida, geo or a registry) reads it. Package record converts its values to the
// types of the table's columns and hashes them. Loader compares the hash with that of the newest version in the table
// and, if it differs, writes a new version. Build makes a snapshot of the newest versions. Refresher does all this at
// intervals and whenever a file changes.
//
// Two tables are our own. meta_as_prefix has the ASN blocks, with versions like the other tables; the longest of them
// gives an address its AS. meta_source says which source has which record: rows of the meta_* tables are never deleted,
// but a record that no source has any more stops matching. A record that is not in meta_source, because another program
// wrote it, matches.
//
// The records of a file are listed under its absolute path. If a file is removed while a Refresher runs, its records
// stop matching; if it is removed while none runs, they stay in force until Loader.Forget is called. Collectors that
// share tables must have the same files: otherwise each would remove the records of the others.
//
// A table of prefixes has millions of records. Such tables are never grouped or sorted by the engine: they are read in
// the order of the table's key and compared here.
//
// A source.Registry describes a source that is a list of files or URLs: its table, reader, schedule and kinds of
// records. Registries has one line for each. A source.Kind describes each kind of record in a snapshot.
//
// The package imports enrich, the schema's settings and the ClickHouse client.
package metadata
