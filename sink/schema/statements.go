package schema

import "fmt"

// Statements renders the DDL that makes everything from nothing, in the order in which it has to run: the
// database, the tables, the dictionaries, the views. Every name in it is qualified with the database.
func Statements(s Settings) ([]string, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	var all []string
	if !s.SkipDatabaseCreate {
		all = append(all, s.createDatabase())
	}
	for _, t := range tables(&s) {
		all = append(all, t.create(&s))
	}
	for _, d := range dictionaries(&s) {
		all = append(all, d.create(&s, "CREATE"))
	}
	for i := range s.Views {
		all = append(all, s.Views[i].create(&s))
	}
	return all, nil
}

func (s *Settings) createDatabase() string {
	return fmt.Sprintf("CREATE DATABASE IF NOT EXISTS %s%s", ident(s.Database), s.onCluster())
}

// tables are all tables of the settings, those that views fill last.
func tables(s *Settings) []table {
	if s.MetadataOnly {
		return metadataTables(s)
	}
	all := s.spread(flowTable(s))
	if s.Tables.InterfaceTraffic != "" {
		all = append(all, s.spread(interfaceTrafficTable(s))...)
	}
	if s.Tables.Loss != "" {
		all = append(all, s.spread(lossTable(s))...)
	}
	all = append(all, metadataTables(s)...)
	for i := range s.Views {
		all = append(all, s.spread(s.Views[i].target(s))...)
	}
	return all
}
