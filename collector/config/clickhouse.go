package config

import "math"

// Server is a ClickHouse server's HTTP interface.
type Server struct {
	Host               string // one host or several, separated by commas, each with an optional port
	Port               int
	Username, Password string
	Secure             bool // HTTPS
	CAFile             string
	CertFile, KeyFile  string
	SkipVerify         bool
	Gzip               bool
	Flows              bool // rows are inserted; otherwise only metadata is kept there
}

// UsesLocalStore reports whether rows go to the local store rather than to a server.
func (c *Config) UsesLocalStore() bool { return c.Server.Host == "" }

// clickhouseKeys are the settings of the server and of its database.
func clickhouseKeys(c *Config) []key {
	s := &c.Schema
	return []key{
		{path: "clickhouse.host", env: []string{"CLICKHOUSE_HOST"}, field: serverHosts(&c.Server.Host),
			help: "Host of a ClickHouse server's HTTP interface, or several hosts with commas: the first that " +
				"answers is used until it fails. Empty: the local store."},
		{path: "clickhouse.port", env: []string{"CLICKHOUSE_PORT"}, def: "8123",
			field: number(&c.Server.Port, 1, 65535),
			help:  "Port of the HTTP interface."},
		{path: "clickhouse.database", env: []string{"CLICKHOUSE_DATABASE"}, field: text(&s.Database),
			help: "Database of all tables."},
		{path: "clickhouse.username", env: []string{"CLICKHOUSE_USERNAME"}, def: "default",
			field: text(&c.Server.Username),
			help:  "User of the server."},
		{path: "clickhouse.password", env: []string{"CLICKHOUSE_PASSWORD"}, secret: true,
			field: text(&c.Server.Password),
			help:  "Password of that user."},
		{path: "clickhouse.secure", env: []string{"CLICKHOUSE_SECURE"}, field: boolean(&c.Server.Secure),
			help: "Use HTTPS."},
		{path: "clickhouse.ca_file", env: []string{"CLICKHOUSE_CA_FILE"}, isPath: true, field: text(&c.Server.CAFile),
			help: "PEM file of the authorities that sign the server's certificate. Empty: those of the system."},
		{path: "clickhouse.cert_file", env: []string{"CLICKHOUSE_CERT_FILE"}, isPath: true,
			field: text(&c.Server.CertFile),
			help:  "PEM file of a client certificate, if the server asks for one."},
		{path: "clickhouse.key_file", env: []string{"CLICKHOUSE_KEY_FILE"}, isPath: true,
			field: text(&c.Server.KeyFile),
			help:  "PEM file of the key of cert_file."},
		{path: "clickhouse.skip_verify", env: []string{"CLICKHOUSE_SKIP_VERIFY"}, field: boolean(&c.Server.SkipVerify),
			help: "Accept any certificate. Then others can read the password and the rows."},
		{path: "clickhouse.gzip", field: boolean(&c.Server.Gzip),
			help: "Compress inserts, for a server behind a slow link."},
		{path: "clickhouse.flows", env: []string{"CLICKHOUSE_FLOWS"}, def: "true", field: boolean(&c.Server.Flows),
			help: "Insert flows. false: flows go to Kafka only (kafka.topic). Metadata still needs ClickHouse or " +
				"the local store."},
		{path: "clickhouse.skip_database_create", env: []string{"CLICKHOUSE_SKIP_DB_CREATE"},
			field: boolean(&s.SkipDatabaseCreate),
			help:  "Do not create the database."},
		{path: "clickhouse.cluster", env: []string{"CLICKHOUSE_CLUSTER_NAME"}, field: text(&s.Cluster),
			help: "Name of the cluster: every statement gets ON CLUSTER."},
		{path: "clickhouse.replication", env: []string{"CLICKHOUSE_REPLICATION"},
			field: boolean(&s.Replication.Enabled),
			help:  "Use Replicated engines."},
		{path: "clickhouse.replica_path", env: []string{"CLICKHOUSE_REPLICA_PATH"}, field: text(&s.Replication.Path),
			help: "Path of a table in Keeper, with replication."},
		{path: "clickhouse.replica_name", env: []string{"CLICKHOUSE_REPLICA_NAME"}, field: text(&s.Replication.Name),
			help: "Name of the replica, with replication."},
		{path: "clickhouse.storage_policy", env: []string{"CLICKHOUSE_STORAGE_POLICY"}, field: text(&s.StoragePolicy),
			help: "Storage policy of the server for tables of rows, when they are created. A TTL can then move rows: " +
				"\"2 DAY TO VOLUME 'cold', start_time + INTERVAL 30 DAY\". Empty: the server's default."},
		{path: "clickhouse.distributed", field: boolean(&s.Distributed),
			help: "Spread rows over shards: NAME_local has the rows on each shard, and NAME is a Distributed " +
				"table over them, so that the names in dashboards stay. This needs a cluster and replication."},
		{path: "clickhouse.sharding_key", field: text(&s.ShardingKey),
			help: "Which shard gets a row. The same row must go to the same shard each time."},
		{path: "clickhouse.deduplication_window", field: window(&s.DeduplicationWindow),
			help: "How many of the latest inserts a table remembers, so that a retried insert is stored once. An " +
				"insert counts once for each partition that it touches. All collectors together must not insert " +
				"more than this within a few minutes."},
	}
}

// window is a number of inserts.
func window(p *uint) field {
	return field{get: printed(p), set: func(v value) error {
		var n int
		if err := number(&n, 0, math.MaxInt32).set(v); err != nil {
			return err
		}
		*p = uint(n)
		return nil
	}}
}
