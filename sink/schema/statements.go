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
	for _, v := range s.materializedViews() {
		all = append(all, v.create(&s))
	}
	for _, v := range s.sumsViews() {
		all = append(all, v.create(&s, "CREATE VIEW IF NOT EXISTS"))
	}
	return all, nil
}

func (s *Settings) createDatabase() string {
	return fmt.Sprintf("CREATE DATABASE IF NOT EXISTS %s%s", ident(s.Database), s.onCluster())
}

// tables returns all tables of the settings. Tables that views fill come last.
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
	on := s.rollups()
	if len(on) > 0 {
		all = append(all, fillTable())
	}
	for _, r := range on {
		for _, t := range s.rollupTables(&r) {
			all = append(all, s.spread(t)...)
		}
	}
	return all
}
