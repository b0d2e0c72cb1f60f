package config

import (
	"slices"
	"time"
)

// Store configures the local store.
type Store struct {
	Path, Listen, Engine string
	Username, Password   string   // an empty password: one is generated and kept in Path
	Insecure             bool     // nobody needs a password
	Keep                 string   // KeepTTL or KeepAll
	Hosts                []string // more names of this host, for Host and Origin
	// Limits of the engine and of one query; 0: from the machine's size. See store.Options.
	Memory, QueryMemory, Queries int
	QueryTime                    time.Duration
	QueryRows                    int
}

// Values of Store.Keep: what happens to old rows when the disk is full.
const (
	KeepTTL = "ttl"
	KeepAll = "as_much_as_fits"
)

// Batch says when a block is sent and how much may wait.
type Batch struct {
	Rows       int
	Age        time.Duration
	QueueBytes int // 0: see InsertQueueBytes
	Inserters  int
	Grace      time.Duration // time limit for a stop
}

// InsertQueueBytes is batch.queue_bytes, or its default. Each insert makes a part in each table of each rollup, which
// takes the server as long for few rows as for many. What waits together is sent together.
func (c *Config) InsertQueueBytes() int {
	const alone, withRollups = 64 << 20, 256 << 20
	switch {
	case c.Batch.QueueBytes > 0:
		return c.Batch.QueueBytes
	case len(c.Schema.Rollups) > 0:
		return withRollups
	}
	return alone
}

// Spool is where blocks wait on disk while a server is down.
type Spool struct {
	Path     string // a directory; "": none
	MaxBytes int    // of its files; beyond it the oldest is deleted
	MaxAge   time.Duration
}

// Quarantine is where rows are kept that the server refuses permanently.
type Quarantine struct {
	Path     string // a directory; "": they are lost
	MaxBytes int
}

// storeKeys are the settings of the local store, batches, spool and quarantine.
func storeKeys(c *Config) []key {
	return slices.Concat(localStoreKeys(&c.Store), batchKeys(&c.Batch), waitingKeys(c))
}

func localStoreKeys(s *Store) []key {
	return []key{
		{path: "store.path", env: []string{"STORE_PATH"}, def: "data", field: text(&s.Path),
			help: "Directory of the local store."},
		{path: "store.listen", env: []string{"STORE_LISTEN"}, def: "127.0.0.1:8123", field: address(&s.Listen),
			help: "Address of its HTTP interface."},
		{path: "store.engine", env: []string{"STORE_ENGINE", "CHDB_LIB_PATH"}, field: text(&s.Engine),
			help: "The engine, libchdb.so. Empty: beside the program, or in /usr/lib/flow-collector."},
		{path: "store.username", def: "default", field: text(&s.Username),
			help: "User of the local store."},
		{path: "store.password", env: []string{"STORE_PASSWORD"}, secret: true, field: text(&s.Password),
			help: "Password of that user. Empty: one is made at the first start and kept in the file " +
				"store.password of the directory. The collector's own commands use it; processes of the " +
				"collector's user on this host need none."},
		{path: "store.insecure", field: boolean(&s.Insecure),
			help: "true: nobody needs a password. Without it, a store on an address other than loopback needs a " +
				"password."},
		{path: "store.hosts", env: []string{"STORE_HOSTS"}, field: texts(&s.Hosts),
			help: "Names that clients may use for this host, besides localhost, the host's own name and the " +
				"address above: behind a proxy or in a container. Requests for another name are refused."},
		{path: "store.keep", env: []string{"STORE_KEEP"}, def: KeepTTL, field: oneOf(&s.Keep, KeepTTL, KeepAll),
			help: "What happens to old rows when the disk is full. ttl: nothing; they go by the TTLs alone, and new " +
				"rows wait in the spool. as_much_as_fits: the oldest day of the table that takes most is dropped, " +
				"with a line in the log, again and again until there is room."},
		{path: "store.memory", field: size(&s.Memory, 0),
			help: "Memory limit of the engine. 0: half of the machine's memory, or of the limit of its control " +
				"group (container, systemd)."},
		{path: "store.queries", field: number(&s.Queries, 0, 1000),
			help: "How many queries run at once; more wait for their turn. 0: 8, fewer if memory is below 4 GiB. " +
				"Inserts and the collector's own statements have places of their own."},
		{path: "store.query_memory", field: size(&s.QueryMemory, 0),
			help: "Memory limit of a query whose request has no max_memory_usage. Beyond a quarter of it, GROUP " +
				"BY and ORDER BY go on in files. 0: half of memory divided by queries, at least 256MiB."},
		{path: "store.query_time", def: "10m", field: duration(&s.QueryTime, time.Second),
			help: "Time limit of a query whose request has no max_execution_time."},
		{path: "store.query_rows", def: "10000000000", field: number(&s.QueryRows, 1, 1<<62),
			help: "How many rows a query may read whose request has no max_rows_to_read."},
	}
}

func batchKeys(b *Batch) []key {
	return []key{
		{path: "batch.rows", env: []string{"CLICKHOUSE_BATCH_SIZE"}, def: "50000",
			field: clamped(&b.Rows, 1, 1<<20),
			help:  "An insert is sent when it has this many rows."},
		{path: "batch.age", env: []string{"CLICKHOUSE_BATCH_TIMEOUT"}, def: "2s",
			field: duration(&b.Age, 10*time.Millisecond),
			help:  "An insert is sent when its first row is this old."},
		{path: "batch.queue_bytes", field: orZero(&b.QueueBytes, size(&b.QueueBytes, 1<<20)),
			help: "Inserts wait for ClickHouse in memory up to this size. Beyond half of it, the oldest goes to the " +
				"spool. 0: 64MiB, or 256MiB with flow.rollups, which cost the less for each row the larger an " +
				"insert is."},
		{path: "batch.inserters", def: "2", field: number(&b.Inserters, 1, 64),
			help: "How many inserts are sent at once. While one is on its way, others wait for each other for up " +
				"to 4 seconds, and those within a quarter of batch.queue_bytes are sent as one."},
		{path: "batch.grace", def: "30s", field: duration(&b.Grace, time.Second),
			help: "How long a stop may take to deliver what is left."},
	}
}

// waitingKeys are those of spool and quarantine.
func waitingKeys(c *Config) []key {
	return []key{
		{path: "spool.path", env: []string{"SPOOL_PATH"}, def: "spool", field: text(&c.Spool.Path),
			help: "Directory where inserts wait while ClickHouse is down or slow. They are delivered later, " +
				"oldest first. Empty: they wait in memory only."},
		{path: "spool.max_bytes", def: "10GiB", field: size(&c.Spool.MaxBytes, 1<<20),
			help: "Size of the spool. Beyond it, the oldest rows are dropped and counted."},
		{path: "spool.max_age", def: "168h", field: duration(&c.Spool.MaxAge, time.Minute),
			help: "Rows that are older than this are dropped and counted."},

		{path: "quarantine.path", env: []string{"QUARANTINE_PATH"}, def: "quarantine", field: text(&c.Quarantine.Path),
			help: "Directory for rows that the server refuses for good, with the reason. `collector quarantine` " +
				"lists them. Empty: these rows are lost and counted."},
		{path: "quarantine.max_bytes", def: "1GiB", field: size(&c.Quarantine.MaxBytes, 1<<10),
			help: "Size of the quarantine. Beyond it, further refused rows are lost and counted."},
	}
}
