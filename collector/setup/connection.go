package setup

import (
	"net"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

// ClickHouse returns the options to connect to the store or the server.
func ClickHouse(cfg *config.Config) clickhouse.Options {
	o := clickhouse.Options{
		Database:       cfg.Schema.Database,
		CreateDatabase: !cfg.Schema.SkipDatabaseCreate,
		Cluster:        cfg.Schema.Cluster,
	}
	if cfg.UsesLocalStore() {
		o.Addrs = []string{web.Reachable(cfg.Store.Listen)}
		o.Username, o.Password = cfg.Store.Username, storePassword(&cfg.Store)
		return o
	}
	s := cfg.Server
	for host := range strings.SplitSeq(s.Host, ",") {
		host = strings.TrimSpace(host)
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(s.Port))
		}
		o.Addrs = append(o.Addrs, host)
	}
	o.Username, o.Password, o.Gzip = s.Username, s.Password, s.Gzip
	o.TLS = clickhouse.TLS{Enabled: s.Secure, CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile,
		SkipVerify: s.SkipVerify}
	return o
}
