// Package geo reads what is known of prefixes: the AS that originates them and where they are. It reads GeoLite2 and
// GeoIP2 (CSV files, the zip they come in, or .mmdb) and DB-IP and ip-location-db files (CSV of address ranges, or
// .mmdb), and can download the GeoLite2 ones.
package geo
