package schema

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// function is an SQL function for those who ask the tables. A server's functions belong to no database.
type function struct{ name, lambda string }

// functions are those that make addresses easy to ask for. Columns have IPv4 addresses as IPv6 (::ffff:a.b.c.d), so a
// prefix of IPv4 compared with them as it stands matches nothing.
func functions() []function {
	prefix := "splitByChar('/', prefix)"
	length := "toUInt8(if(length(" + prefix + ") = 1, 128, " +
		"if(position(prefix, ':') > 0, 0, 96) + toUInt8(" + prefix + "[-1])))"
	network := "IPv6CIDRToRange(toIPv6(" + prefix + "[1]), " + length + ")"
	return []function{
		// inPrefix(src_ip, '198.51.100.0/24'), inPrefix(src_ip, '2001:db8::/32'), inPrefix(src_ip, '192.0.2.7')
		{"inPrefix", "(ip, prefix) -> ((ip >= tupleElement(" + network + ", 1)) AND (ip <= tupleElement(" + network +
			", 2)))"},
		// plainIP(src_ip) is 198.51.100.7 for ::ffff:198.51.100.7, and the address itself for one of IPv6
		{"plainIP", "ip -> replaceRegexpOne(toString(ip), '^::ffff:([0-9.]+)$', '\\\\1')"},
	}
}

func (f *function) create(s *Settings) string {
	return fmt.Sprintf("CREATE FUNCTION IF NOT EXISTS %s%s AS %s", f.name, s.onCluster(), f.lambda)
}

// missingFunctions are the functions that the server does not have. It says nothing where it cannot be asked: rows do
// not need them. A function of the same name that somebody else made stays.
func missingFunctions(ctx context.Context, conn driver.Conn) []function {
	var missing []function
	for _, f := range functions() {
		var there uint64
		if err := conn.QueryRow(ctx, "SELECT count() FROM system.functions WHERE name = "+literal(f.name)).
			Scan(&there); err != nil {
			return nil
		}
		if there == 0 {
			missing = append(missing, f)
		}
	}
	return missing
}
