package schema

import "strings"

// local is the name of the table that has the rows of a shard: the table itself where nothing is distributed.
func (s *Settings) local(name string) string {
	if !s.Distributed {
		return name
	}
	return name + "_local"
}

// spread is a table of rows as it is made: itself or, where tables are distributed, its part on every shard and the
// table under its own name over these.
func (s *Settings) spread(t table) []table {
	if !s.Distributed {
		return []table{t}
	}
	part := t
	part.name = s.local(t.name)
	arguments := []string{literal(s.Cluster), literal(s.Database), literal(part.name)}
	if t.name == s.Tables.Flow {
		arguments = append(arguments, s.ShardingKey) // the others are read through it, or written by a row at a time
	} else {
		arguments = append(arguments, "cityHash64("+ident(t.orderBy[0])+")")
	}
	return []table{part, {
		name: t.name, engine: distributedEngine, engineArgs: strings.Join(arguments, ", "), columns: t.columns,
	}}
}

const distributedEngine = "Distributed"

// MetadataReplication is how metadata tables are replicated: where rows are distributed over all shards, so that
// dictionaries and joins find all of it wherever they run.
func (s *Settings) MetadataReplication() Replication {
	r := s.Replication
	if s.Distributed {
		r.Path = strings.ReplaceAll(r.Path, "{shard}", "all")
		r.Name = "{shard}-" + r.Name
	}
	return r
}
