package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestValuesOfTheReference: what the reference starts with starts here, with a warning where it means nothing.
func TestValuesOfTheReference(t *testing.T) {
	for _, test := range []struct {
		env, warning string
		got          func(*Config) any
		want         any
	}{
		{"CLICKHOUSE_CACHER_REFRESH_INTERVAL=0", "", func(c *Config) any { return c.Metadata.Refresh },
			time.Duration(0)},
		{"CLICKHOUSE_FLOW_EXTENSIONS=bgp,esdb", "esdb: there is no such extension",
			func(c *Config) any { return c.Schema.FlowExtensions }, []string{"bgp"}},
		{"CLICKHOUSE_AS_METADATA_EXTENSIONS=peeringdb,foo", "foo: there is no such extension",
			func(c *Config) any { return c.Schema.ASExtensions }, []string{"peeringdb"}},
		{"CLICKHOUSE_FLOW_MV_BY_EDGE_AS_1H_TTL=1 YEAR", "CLICKHOUSE_FLOW_MV_BY_EDGE_AS_1H_TTL",
			func(c *Config) any { return len(c.Schema.Views) }, 3},
		{"CLICKHOUSE_FLOW_POLICY_COMMUNITY_SCOPE_MAP=64805:lhcone,64806, 64807:a:b", `"64806" is not key:value`,
			func(c *Config) any { return c.Policy.CommunityScopes },
			map[string]string{"64805": "lhcone", "64807": "a:b"}},
		{"CLICKHOUSE_FLOW_TTL=2 DAY TO VOLUME 'cold', start_time + INTERVAL 30 DAY", "",
			func(c *Config) any { return c.Schema.FlowTTL.Plain() }, false},
		{"DEBUG=verbose", "neither true nor false", func(c *Config) any { return c.LogLevel }, "info"},
		{"HTTP_TIMEOUT=0.5", "", func(c *Config) any { return c.Metadata.HTTPTimeout }, 500 * time.Millisecond},
		{"CLICKHOUSE_BATCH_SIZE=2000000", "is more than 1048576", func(c *Config) any { return c.Batch.Rows }, 1 << 20},
		{"CLICKHOUSE_BATCH_SIZE=0", "is less than 1", func(c *Config) any { return c.Batch.Rows }, 1},
		{"CLICKHOUSE_BATCH_SIZE= 1_000 ", "", func(c *Config) any { return c.Batch.Rows }, 1000},
		{"CLICKHOUSE_BATCH_TIMEOUT=0", "is less than 10ms", func(c *Config) any { return c.Batch.Age },
			10 * time.Millisecond},
		{"CLICKHOUSE_BATCH_TIMEOUT= 5.0 ", "", func(c *Config) any { return c.Batch.Age }, 5 * time.Second},
		{"CAIDA_ORG_AS_CONSUMER_UPDATE_INTERVAL=-1", "", func(c *Config) any { return c.Metadata.CAIDA.Interval },
			time.Duration(0)},
		{"CLICKHOUSE_AS_DICTIONARY_LIFETIME_MIN= 60 ", "",
			func(c *Config) any { return c.Schema.ASDictionary.LifetimeMin }, uint(60)},
		{"KAFKA_SASL_MECHANISM=GSSAPI", "no effect, as kafka.topic is not set",
			func(c *Config) any { return c.Kafka.Topic }, ""},
		{"KAFKA_SECURITY_PROTOCOL=plain", "is none of PLAINTEXT, SSL",
			func(c *Config) any { return c.Kafka.Topic }, ""},
		{"CLICKHOUSE_SECURE= True ", "", func(c *Config) any { return c.Server.Secure }, true},
		{"CLICKHOUSE_SECURE=on", "", func(c *Config) any { return c.Server.Secure }, true},
		{"CLICKHOUSE_SECURE=maybe", "neither true nor false", func(c *Config) any { return c.Server.Secure }, false},
		{"KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM=", "is empty",
			func(c *Config) any { return c.Kafka.Identification }, "https"},
		{"CLICKHOUSE_PORT=", "is empty", func(c *Config) any { return c.Server.Port }, 8123},
		{"IP_GEO_CSV_CONSUMER_MAXMIND_ACCOUNT_ID=7", "", func(c *Config) any { return c.Metadata.Geo.MaxMindAccount },
			"7"},
		{"IP_GEO_CSV_CONSUMER_MAXMIND_LICENSE_KEY=k", "", func(c *Config) any { return c.Metadata.Geo.MaxMindKey },
			"k"},
		{"IP_GEO_CSV_CONSUMER_USE_MAXMIND_DOWNLOAD=false", "", func(c *Config) any { return c.Metadata.Geo.UseMaxMind },
			false},
		{"IP_GEO_CSV_CONSUMER_CACHE_DIR=/x", "", func(c *Config) any { return c.Metadata.Geo.CacheDir }, "/x"},
		{"CAIDA_ORG_AS_CONSUMER_USE_URL=false", "", func(c *Config) any { return c.Metadata.CAIDA.UseURL }, false},
		{"CAIDA_ORG_AS_CONSUMER_AS2ORG_FILE=/app/caches/x", "",
			func(c *Config) any { return c.Metadata.CAIDA.UseURL }, true},
		{"CAIDA_ORG_AS_CONSUMER_AS2ORG_URL=https://m/{date}.gz", "",
			func(c *Config) any { return c.Metadata.CAIDA.AS2OrgURL }, "https://m/{date}.gz"},
	} {
		t.Run(test.env, func(t *testing.T) {
			c := load(t, Source{Environ: []string{test.env}})
			if diff := cmp.Diff(test.want, test.got(c), equal...); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			warned := slices.ContainsFunc(c.Warnings(),
				func(p Problem) bool { return strings.Contains(p.String(), test.warning) })
			if test.warning == "" && len(c.Warnings()) > 0 || test.warning != "" && !warned {
				t.Errorf("warnings %v, want %q", c.Warnings(), test.warning)
			}
			if err := c.Schema.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
	// A configuration of ours says what it means.
	if load(t, Source{File: write(t, "c.yml", "metadata: {caida: {as2org_file: x}}")}).Metadata.CAIDA.UseURL {
		t.Error("a file that the configuration names is not what is read")
	}
	for _, text := range []string{"flow: {extensions: [ipx]}", "log: {debug: verbose}",
		"policy: {community_scopes: 64806}", "batch: {rows: 2000000}"} {
		if _, problems := Load(Source{File: write(t, "c.yml", text)}); len(problems) == 0 {
			t.Errorf("%s is taken", text)
		}
	}
}

// What the reference's pipeline reads with is what we write with, once a topic of ours is named.
func TestKafkaByTheReferencesNames(t *testing.T) {
	for _, test := range []struct {
		name      string
		env       []string
		tls, sasl bool
	}{
		{"nothing set", nil, false, false},
		{"an authority", []string{"KAFKA_SSL_CA_LOCATION=config.go"}, true, false},
		{"a user", []string{"KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD=p"}, false, true},
		{"both", []string{"KAFKA_SSL_CA_LOCATION=config.go", "KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD=p"}, true,
			true},
		{"by protocol", []string{"KAFKA_SECURITY_PROTOCOL=SASL_SSL", "KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD=p"},
			true, true},
		{"plaintext by protocol", []string{"KAFKA_SECURITY_PROTOCOL=plaintext", "KAFKA_SSL_CA_LOCATION=/nonexistent"},
			false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := load(t, Source{Environ: append(test.env, "KAFKA_OUTPUT_TOPIC=t", "KAFKA_BOOTSTRAP_SERVERS=a, b:9093")})
			if k := c.Kafka; k.UsesTLS() != test.tls || k.UsesSASL() != test.sasl ||
				!slices.Equal(k.Brokers, []string{"a", "b:9093"}) {
				t.Errorf("TLS %v, SASL %v, brokers %v", k.UsesTLS(), k.UsesSASL(), k.Brokers)
			}
		})
	}
	// The reference's own environment has files of its containers, and its topic. Nothing of that is looked at.
	c := load(t,
		Source{Environ: []string{"KAFKA_BOOTSTRAP_SERVERS=k", "KAFKA_TOPIC=metranova_flow",
			"KAFKA_SSL_CA_LOCATION=/app/conf/certificates/ca-cert"}})
	if c.Kafka.Topic != "" {
		t.Errorf("messages go to %s", c.Kafka.Topic)
	}
}
