// Package geo reads data on prefixes: the AS that originates them, and their location. It reads GeoLite2 and GeoIP2
// (CSV files, the zip they are published in, or .mmdb), and DB-IP and ip-location-db files (CSV of address ranges, or
// .mmdb). It can download GeoLite2.
package geo
