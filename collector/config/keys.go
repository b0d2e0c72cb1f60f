package config

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
)

// A setter puts a value where it belongs, or says what is wrong with it.
type setter func(value) error

// A key is one setting: where it stands in the YAML file, the environment variables that set it, and its parser.
type key struct {
	path string
	env  []string
	kind valueKind // what the file may hold; a scalar is always taken
	set  setter
}

// keys lists every setting of c. The environment names without a prefix of ours are the reference pipeline's.
func keys(c *Config) []key {
	all := append(collectorKeys(c), tableKeys(c)...)
	all = append(all, columnKeys(&c.Schema)...)
	all = append(all, kafkaKeys(&c.Kafka)...)
	return append(all, metadataKeys(c)...)
}

func collectorKeys(c *Config) []key {
	return []key{
		{"collector_id", []string{"COLLECTOR_ID"}, scalar, text(&c.CollectorID)},

		{"listen.addresses", []string{"LISTEN"}, list, addresses(&c.Listen.Addresses)},
		{"listen.workers", nil, scalar, number(&c.Listen.Workers, 0, 256)},
		{"listen.receive_buffer", nil, scalar, size(&c.Listen.ReceiveBuffer, 1<<12)},
		{"listen.allowed_exporters", []string{"LISTEN_ALLOWED_EXPORTERS"}, list, prefixes(&c.Listen.Allowed)},

		{"forward.to", []string{"FORWARD_TO"}, list, targets(&c.Forward.To)},
		{"forward.keep_source", []string{"FORWARD_KEEP_SOURCE"}, scalar, boolean(&c.Forward.KeepSource)},

		{"decoder.max_exporters", nil, scalar, number(&c.Decoder.MaxExporters, 1, 1<<20)},
		{"decoder.hold_for", nil, scalar, duration(&c.Decoder.HoldFor, 0)},
		{"decoder.hold_bytes", nil, scalar, size(&c.Decoder.HoldBytes, 0)},
		{"decoder.template_expiry", nil, scalar, duration(&c.Decoder.TemplateExpiry, time.Minute)},
		{"decoder.save_templates", nil, scalar, duration(&c.Decoder.SaveTemplates, 0)},
		{"decoder.sampling_rates", nil, mapping, samplingRates(&c.Decoder.SamplingRates)},
		{"decoder.exporter_address", nil, scalar, oneOf(&c.Decoder.ExporterAddress, "stated", "source")},
		{"decoder.exporter_map", nil, mapping, addressMap(&c.Decoder.ExporterMap)},
		{"decoder.decapsulate", nil, scalar, boolean(&c.Decoder.DecapsulateFlow)},

		{"policy.originator", []string{"CLICKHOUSE_POLICY_ORIGINATOR"}, scalar, text(&c.Policy.Originator)},
		{"policy.level", []string{"CLICKHOUSE_POLICY_LEVEL"}, scalar, text(&c.Policy.Level)},
		{"policy.scopes", []string{"CLICKHOUSE_POLICY_SCOPE"}, list, texts(&c.Policy.Scopes)},
		{"policy.auto_scopes", []string{"CLICKHOUSE_FLOW_POLICY_AUTO_SCOPES"}, scalar, boolean(&c.Policy.AutoScopes)},
		{"policy.community_scopes", []string{"CLICKHOUSE_FLOW_POLICY_COMMUNITY_SCOPE_MAP"}, mapping,
			textMap(&c.Policy.CommunityScopes)},

		{"clickhouse.host", []string{"CLICKHOUSE_HOST"}, scalar, serverHosts(&c.Server.Host)},
		{"clickhouse.port", []string{"CLICKHOUSE_PORT"}, scalar, number(&c.Server.Port, 1, 65535)},
		{"clickhouse.username", []string{"CLICKHOUSE_USERNAME"}, scalar, text(&c.Server.Username)},
		{"clickhouse.password", []string{"CLICKHOUSE_PASSWORD"}, scalar, text(&c.Server.Password)},
		{"clickhouse.secure", []string{"CLICKHOUSE_SECURE"}, scalar, boolean(&c.Server.Secure)},
		{"clickhouse.ca_file", nil, scalar, text(&c.Server.CAFile)},
		{"clickhouse.cert_file", nil, scalar, text(&c.Server.CertFile)},
		{"clickhouse.key_file", nil, scalar, text(&c.Server.KeyFile)},
		{"clickhouse.skip_verify", nil, scalar, boolean(&c.Server.SkipVerify)},
		{"clickhouse.gzip", nil, scalar, boolean(&c.Server.Gzip)},
		{"clickhouse.flows", []string{"CLICKHOUSE_FLOWS"}, scalar, boolean(&c.Server.Flows)},

		{"store.path", []string{"STORE_PATH"}, scalar, text(&c.Store.Path)},
		{"store.listen", []string{"STORE_LISTEN"}, scalar, address(&c.Store.Listen)},
		{"store.engine", []string{"STORE_ENGINE", "CHDB_LIB_PATH"}, scalar, text(&c.Store.Engine)},
		{"store.username", nil, scalar, text(&c.Store.Username)},
		{"store.password", []string{"STORE_PASSWORD"}, scalar, text(&c.Store.Password)},
		{"store.insecure", nil, scalar, boolean(&c.Store.Insecure)},
		{"store.hosts", []string{"STORE_HOSTS"}, list, texts(&c.Store.Hosts)},
		{"store.memory", nil, scalar, size(&c.Store.Memory, 0)},

		{"batch.rows", []string{"CLICKHOUSE_BATCH_SIZE"}, scalar, atMost(&c.Batch.Rows, 1, 1<<20)},
		{"batch.age", []string{"CLICKHOUSE_BATCH_TIMEOUT"}, scalar, duration(&c.Batch.Age, 10*time.Millisecond)},
		{"batch.queue_bytes", nil, scalar, size(&c.Batch.QueueBytes, 1<<20)},
		{"batch.inserters", nil, scalar, number(&c.Batch.Inserters, 1, 64)},
		{"batch.grace", nil, scalar, duration(&c.Batch.Grace, time.Second)},

		{"spool.path", []string{"SPOOL_PATH"}, scalar, text(&c.Spool.Path)},
		{"spool.max_bytes", nil, scalar, size(&c.Spool.MaxBytes, 1<<20)},
		{"spool.max_age", nil, scalar, duration(&c.Spool.MaxAge, time.Minute)},

		{"http.listen", []string{"HTTP_LISTEN"}, scalar, addressOrOff(&c.HTTP.Listen)},
		{"http.pprof", nil, scalar, boolean(&c.HTTP.PProf)},
		{"http.hosts", []string{"HTTP_HOSTS"}, list, texts(&c.HTTP.Hosts)},

		{"metrics.max_exporters", nil, scalar, number(&c.Metrics.MaxExporters, 1, 1<<20)},
		{"quarantine.path", []string{"QUARANTINE_PATH"}, scalar, text(&c.Refused.Path)},
		{"quarantine.max_bytes", nil, scalar, size(&c.Refused.MaxBytes, 1<<10)},

		{"log.level", []string{"LOG_LEVEL"}, scalar, oneOf(&c.LogLevel, "debug", "info", "warn", "error")},
		{"log.debug", []string{"DEBUG"}, scalar, debug(c)},
	}
}

// debug is the reference's DEBUG=true.
func debug(c *Config) setter {
	return func(v value) error {
		var on bool
		if err := boolean(&on)(v); err != nil {
			return err
		}
		if on {
			c.LogLevel = "debug"
		}
		return nil
	}
}

// columnKeys are one key for each column of data_flow that can be left out: flow.columns.tcp_flags, which the
// environment has as CLICKHOUSE_FLOW_COLUMN_TCP_FLAGS.
func columnKeys(s *schema.Settings) []key {
	var all []key
	for _, name := range schema.OptionalColumns() {
		set := func(v value) error {
			var on bool
			if err := boolean(&on)(v); err != nil {
				return err
			}
			s.WithoutColumns = slices.DeleteFunc(s.WithoutColumns, func(c string) bool { return c == name })
			if !on {
				s.WithoutColumns = append(s.WithoutColumns, name)
			}
			return nil
		}
		all = append(all, key{"flow.columns." + name, []string{"CLICKHOUSE_FLOW_COLUMN_" + strings.ToUpper(name)},
			scalar, set})
	}
	return all
}

func tableKeys(c *Config) []key {
	s, t := &c.Schema, &c.Schema.Tables
	window := func(p *uint) setter {
		return func(v value) error {
			var n int
			err := number(&n, 0, math.MaxInt32)(v)
			*p = uint(n)
			return err
		}
	}
	return []key{
		{"clickhouse.database", []string{"CLICKHOUSE_DATABASE"}, scalar, text(&s.Database)},
		{"clickhouse.skip_database_create", []string{"CLICKHOUSE_SKIP_DB_CREATE"}, scalar,
			boolean(&s.SkipDatabaseCreate)},
		{"clickhouse.cluster", []string{"CLICKHOUSE_CLUSTER_NAME"}, scalar, text(&s.Cluster)},
		{"clickhouse.replication", []string{"CLICKHOUSE_REPLICATION"}, scalar, boolean(&s.Replication.Enabled)},
		{"clickhouse.replica_path", []string{"CLICKHOUSE_REPLICA_PATH"}, scalar, text(&s.Replication.Path)},
		{"clickhouse.replica_name", []string{"CLICKHOUSE_REPLICA_NAME"}, scalar, text(&s.Replication.Name)},
		{"clickhouse.distributed", nil, scalar, boolean(&s.Distributed)},
		{"clickhouse.sharding_key", nil, scalar, text(&s.ShardingKey)},
		{"clickhouse.deduplication_window", nil, scalar, window(&s.DeduplicationWindow)},

		{"flow.max_ahead", []string{"CLICKHOUSE_FLOW_MAX_AHEAD"}, scalar, duration(&c.Flow.MaxAhead, time.Minute)},
		{"flow.max_behind", []string{"CLICKHOUSE_FLOW_MAX_BEHIND"}, scalar, duration(&c.Flow.MaxBehind, 0)},
		{"flow.extensions", []string{"CLICKHOUSE_FLOW_EXTENSIONS"}, list, texts(&s.FlowExtensions)},
		{"flow.ip_ref_extensions", []string{"CLICKHOUSE_FLOW_IP_REF_EXTENSIONS"}, list, texts(&s.IPRefExtensions)},
		{"flow.learned_names", []string{"CLICKHOUSE_FLOW_LEARNED_NAMES"}, scalar, boolean(&c.LearnedNames)},
		{"flow.ttl", []string{"CLICKHOUSE_FLOW_TTL"}, scalar, text(&s.FlowTTL.Interval)},
		{"flow.ttl_column", []string{"CLICKHOUSE_FLOW_TTL_COLUMN"}, scalar, text(&s.FlowTTL.Column)},
		{"flow.partition_by", []string{"CLICKHOUSE_FLOW_PARTITION_BY"}, scalar, text(&s.FlowPartitionBy)},
		{"flow.views.edge_as", []string{"CLICKHOUSE_FLOW_MV_BY_EDGE_AS"}, list, c.windows(schema.ByEdgeAS)},
		{"flow.views.interface", []string{"CLICKHOUSE_FLOW_MV_BY_INTERFACE"}, list, c.windows(schema.ByInterface)},
		{"flow.views.ip_version", []string{"CLICKHOUSE_FLOW_MV_BY_IP_VERSION"}, list, c.windows(schema.ByIPVersion)},
		{"flow.view_settings", nil, mapping, c.setViewSettings},

		{"tables.flow", []string{"CLICKHOUSE_FLOW_TABLE"}, scalar, text(&t.Flow)},
		{"tables.interface_traffic", []string{"CLICKHOUSE_IF_TRAFFIC_TABLE"}, scalar, text(&t.InterfaceTraffic)},
		{"tables.loss", nil, scalar, text(&t.Loss)},
		{"tables.interface", []string{"CLICKHOUSE_IF_METADATA_TABLE"}, scalar, text(&t.Interface)},
		{"tables.device", []string{"CLICKHOUSE_DEVICE_METADATA_TABLE"}, scalar, text(&t.Device)},
		{"tables.organization", []string{"CLICKHOUSE_ORGANIZATION_METADATA_TABLE"}, scalar, text(&t.Organization)},
		{"tables.circuit", []string{"CLICKHOUSE_CIRCUIT_METADATA_TABLE"}, scalar, text(&t.Circuit)},
		{"tables.as", []string{"CLICKHOUSE_AS_METADATA_TABLE"}, scalar, text(&t.AS)},
		{"tables.ip", []string{"CLICKHOUSE_IP_METADATA_TABLE"}, scalar, text(&t.IP)},
		{"tables.application", []string{"CLICKHOUSE_APPLICATION_METADATA_TABLE"}, scalar, text(&t.Application)},
		{"tables.scireg", []string{"CLICKHOUSE_SCIREG_METADATA_TABLE"}, scalar, text(&t.SciReg)},
		{"tables.interface_traffic_ttl", []string{"CLICKHOUSE_IF_TRAFFIC_TTL"}, scalar,
			text(&s.InterfaceTrafficTTL.Interval)},
		{"tables.interface_traffic_ttl_column", []string{"CLICKHOUSE_IF_TRAFFIC_TTL_COLUMN"}, scalar,
			text(&s.InterfaceTrafficTTL.Column)},
		{"tables.interface_traffic_partition_by", []string{"CLICKHOUSE_IF_TRAFFIC_PARTITION_BY"}, scalar,
			text(&s.InterfaceTrafficPartitionBy)},
		{"tables.loss_ttl", nil, scalar, text(&s.LossTTL.Interval)},
		{"tables.loss_ttl_column", nil, scalar, text(&s.LossTTL.Column)},
		{"tables.loss_partition_by", nil, scalar, text(&s.LossPartitionBy)},
		{"tables.metadata_ttl", []string{"CLICKHOUSE_METADATA_TTL"}, scalar, text(&s.MetadataTTL)},
		{"tables.as_extensions", []string{"CLICKHOUSE_AS_METADATA_EXTENSIONS"}, list, texts(&s.ASExtensions)},

		{"dictionaries.application.enabled", []string{"CLICKHOUSE_APPLICATION_DICTIONARY_ENABLED"}, scalar,
			boolean(&s.ApplicationDictionary.Enabled)},
		{"dictionaries.application.name", []string{"CLICKHOUSE_APPLICATION_DICTIONARY_NAME"}, scalar,
			text(&s.ApplicationDictionary.Name)},
		{"dictionaries.application.lifetime_min", []string{"CLICKHOUSE_APPLICATION_DICTIONARY_LIFETIME_MIN"}, scalar,
			seconds32(&s.ApplicationDictionary.LifetimeMin)},
		{"dictionaries.application.lifetime_max", []string{"CLICKHOUSE_APPLICATION_DICTIONARY_LIFETIME_MAX"}, scalar,
			seconds32(&s.ApplicationDictionary.LifetimeMax)},
		{"dictionaries.as.enabled", []string{"CLICKHOUSE_AS_DICTIONARY_ENABLED"}, scalar,
			boolean(&s.ASDictionary.Enabled)},
		{"dictionaries.as.name", []string{"CLICKHOUSE_AS_DICTIONARY_NAME"}, scalar, text(&s.ASDictionary.Name)},
		{"dictionaries.as.lifetime_min", []string{"CLICKHOUSE_AS_DICTIONARY_LIFETIME_MIN"}, scalar,
			seconds32(&s.ASDictionary.LifetimeMin)},
		{"dictionaries.as.lifetime_max", []string{"CLICKHOUSE_AS_DICTIONARY_LIFETIME_MAX"}, scalar,
			seconds32(&s.ASDictionary.LifetimeMax)},
	}
}

func metadataKeys(c *Config) []key {
	m := &c.Metadata
	return []key{
		{"metadata.dir", []string{"METADATA_DIR"}, scalar, text(&m.Dir)},
		{"metadata.cache_dir", []string{"CACHE_DIR"}, scalar, text(&m.CacheDir)},
		{"metadata.files", []string{"FILE_CONSUMER_PATHS"}, list, texts(&m.Files)},
		{"metadata.refresh", []string{"CLICKHOUSE_CACHER_REFRESH_INTERVAL"}, scalar, duration(&m.Refresh, 0)},
		{"metadata.http_timeout", []string{"HTTP_TIMEOUT"}, scalar, duration(&m.HTTPTimeout, 10*time.Millisecond)},
		{"metadata.force_update", []string{"CLICKHOUSE_METADATA_FORCE_UPDATE"}, scalar, boolean(&m.ForceUpdate)},

		{"metadata.caida.interval", []string{"CAIDA_ORG_AS_CONSUMER_UPDATE_INTERVAL"}, scalar,
			duration(&m.ASNames.Interval, 0)},
		{"metadata.caida.use_url", []string{"CAIDA_ORG_AS_CONSUMER_USE_URL"}, scalar, boolean(&m.ASNames.UseURL)},
		{"metadata.caida.as2org_url", []string{"CAIDA_ORG_AS_CONSUMER_AS2ORG_URL"}, scalar,
			urlTemplate(&m.ASNames.AS2OrgURL)},
		{"metadata.caida.peeringdb_url", []string{"CAIDA_ORG_AS_CONSUMER_PEERINGDB_URL"}, scalar,
			urlTemplate(&m.ASNames.PeeringURL)},
		{"metadata.caida.as2org_file", []string{"CAIDA_ORG_AS_CONSUMER_AS2ORG_FILE"}, scalar,
			text(&m.ASNames.AS2OrgFile)},
		{"metadata.caida.peeringdb_file", []string{"CAIDA_ORG_AS_CONSUMER_PEERINGDB_FILE"}, scalar,
			text(&m.ASNames.PeeringFile)},
		{"metadata.caida.custom_as_file", []string{"CAIDA_ORG_AS_CONSUMER_CUSTOM_AS_FILE"}, scalar,
			text(&m.ASNames.CustomAS)},
		{"metadata.caida.custom_org_file", []string{"CAIDA_ORG_AS_CONSUMER_CUSTOM_ORG_FILE"}, scalar,
			text(&m.ASNames.CustomOrg)},

		{"metadata.geo.interval", []string{"IP_GEO_CSV_CONSUMER_UPDATE_INTERVAL"}, scalar,
			duration(&m.Geo.Interval, 0)},
		{"metadata.geo.asn_files", []string{"IP_GEO_CSV_CONSUMER_ASN_FILES"}, list, texts(&m.Geo.ASNFiles)},
		{"metadata.geo.location_files", []string{"IP_GEO_CSV_CONSUMER_LOCATION_FILES"}, list, texts(&m.Geo.Locations)},
		{"metadata.geo.block_files", []string{"IP_GEO_CSV_CONSUMER_IP_BLOCK_FILES"}, list, texts(&m.Geo.BlockFiles)},
		{"metadata.geo.custom_ip_file", []string{"IP_GEO_CSV_CONSUMER_CUSTOM_IP_FILE"}, scalar, text(&m.Geo.CustomIP)},
		{"metadata.geo.use_maxmind", []string{"IP_GEO_CSV_CONSUMER_USE_MAXMIND_DOWNLOAD"}, scalar,
			boolean(&m.Geo.UseMaxMind)},
		{"metadata.geo.cache_dir", []string{"IP_GEO_CSV_CONSUMER_CACHE_DIR"}, scalar, text(&m.Geo.CacheDir)},
		{"metadata.geo.maxmind_account", []string{"MAXMIND_ACCOUNT_ID", "IP_GEO_CSV_CONSUMER_MAXMIND_ACCOUNT_ID"},
			scalar, text(&m.Geo.MaxMindAccount)},
		{"metadata.geo.maxmind_key", []string{"MAXMIND_LICENSE_KEY", "IP_GEO_CSV_CONSUMER_MAXMIND_LICENSE_KEY"}, scalar,
			text(&m.Geo.MaxMindKey)},

		{"metadata.scireg.interval", []string{"SCIREG_HTTP_CONSUMER_UPDATE_INTERVAL"}, scalar,
			duration(&m.SciReg.Interval, 0)},
		{"metadata.scireg.sources", []string{"SCIREG_HTTP_CONSUMER_URLS"}, list, texts(&m.SciReg.Sources)},
	}
}
