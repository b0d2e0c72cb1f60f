package query

import "fmt"

// Sizes of the metadata, those of an operator with all feeds. Prefixes are spread over the address space like the hosts
// of bench gen.
const (
	devices       = 20
	interfacesOf  = 8 // interfaces of each device, with the numbers of bench gen
	systems       = 64_000
	organizations = 30_000
	prefixes      = 300_000
	registered    = 1_000 // prefixes of the Science Registry
)

// countries are the country codes of prefixes. The first ones have the most prefixes.
const countries = `['US', 'DE', 'GB', 'FR', 'JP', 'CH', 'NL', 'CA', 'BR', 'IT', 'SE', 'AU', 'ES', 'PL', 'KR', 'FI', ` +
	`'NO', 'DK', 'BE', 'AT', 'CZ', 'PT', 'IE', 'GR', 'HU', 'RO', 'BG', 'SI', 'SK', 'HR', 'EE', 'LV', 'LT', 'UA', ` +
	`'TR', 'IL', 'IN', 'CN', 'TW', 'SG', 'TH', 'VN', 'ID', 'MY', 'PH', 'NZ', 'ZA', 'KE', 'NG', 'EG', 'MA', 'TN', ` +
	`'AR', 'CL', 'CO', 'PE', 'MX', 'UY', 'EC', 'CR']`

// madeUp returns the statements that fill the tables of metadata with records that the server generates.
func madeUp() []string {
	// IPv4 prefixes are a /12 to a /24 of the whole address space, IPv6 prefixes a /24 to a /48 of 2001::/16.
	const subnet = `if(number % 4 > 0,
		(toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(bitAnd(h, bitNot(bitShiftRight(toUInt64(4294967295), ` +
		`bits)) )))) ), toUInt8(bits)),
		(toIPv6(concat('2001:', lower(hex(toUInt16(h))), ':', lower(hex(toUInt16(bitShiftRight(h, 16)))), '::')), ` +
		`toUInt8(48)))`
	return []string{
		fmt.Sprintf(`INSERT INTO meta_organization (id, ref, hash, name, country_code)
SELECT concat('org-', toString(number)) AS o, concat(o, '__v1'), '', concat('Organization ', toString(number)), `+
			`%s[1 + number %% 60] FROM numbers(%d)`, countries, organizations),
		fmt.Sprintf(`INSERT INTO meta_as (id, ref, hash, name, organization_id, organization_ref)
SELECT number, concat(toString(number), '__v1'), '', concat('NET-', toString(number)), `+
			`concat('org-', toString(number %% %d)) AS o, concat(o, '__v1') FROM numbers(1, %d)`,
			organizations, systems),
		fmt.Sprintf(`INSERT INTO meta_ip (id, ref, hash, ip_subnet, country_name, country_code, city_name, latitude, `+
			`longitude, as_id)
SELECT concat('p', toString(number)) AS p, concat(p, '__v1'), '', [%s], concat('Country ', code), %s[1 + `+
			`toUInt32(pow(h %% 1000 / 1000, 2) * 60)] AS code, concat('City ', toString(h %% 3000)), (h %% 140) - 60, `+
			`(h %% 360) - 180, 1 + h %% %d
FROM (SELECT number, cityHash64(number) AS h, 12 + h %% 13 AS bits FROM numbers(%d))`,
			subnet, countries, systems, prefixes),
		fmt.Sprintf(`INSERT INTO meta_ip_scireg (id, ref, hash, ip_subnet, discipline, project_name, `+
			`organization_name, resource_name)
SELECT concat('s', toString(number)) AS p, concat(p, '__v1'), '', [%s], `+
			`concat('Discipline ', toString(number %% 30)), `+
			`concat('Project ', toString(number %% 300)), concat('Laboratory ', toString(number %% 100)), `+
			`concat('Resource ', toString(number))
FROM (SELECT number, cityHash64(number, 7) AS h, 12 + h %% 4 AS bits FROM numbers(%d))`, subnet, registered),
		fmt.Sprintf(`INSERT INTO meta_device (id, ref, hash, type, loopback_ip, location_name, network)
SELECT concat('router', toString(number + 1)) AS d, concat(d, '__v1'), '', 'router', `+
			`[toIPv6(concat('::ffff:127.16.0.', toString(number + 1)))], concat('Site ', toString(number %% 10)), `+
			`'backbone' FROM numbers(%d)`, devices),
		fmt.Sprintf(`INSERT INTO meta_interface (id, ref, hash, type, device_id, device_ref, edge, flow_index, name, `+
			`speed, circuit_id, description)
SELECT concat(d, '::eth', toString(i)) AS id, concat(id, '__v1'), '', 'port', concat('router', toString(1 + `+
			`intDiv(number, %[1]d))) AS d, concat(d, '__v1'), i <= 4, 1 + number %% %[1]d AS i, `+
			`concat('eth', toString(i)), 100000, if(i %% 4 = 0, [concat('circuit-', toString(number))], []), `+
			`concat('to neighbor ', toString(number)) FROM numbers(%[2]d)`, interfacesOf, devices*interfacesOf),
		`INSERT INTO meta_application (id, protocol, port_range_min, port_range_max)
SELECT id, protocol, port, port FROM values('id String, protocol String, port UInt16', ('https', 'tcp', 443), ` +
			`('http', 'tcp', 80), ('domain', 'udp', 53), ('ssh', 'tcp', 22), ('xrootd', 'tcp', 1094), ` +
			`('gridftp', 'tcp', 2811), ('iperf', 'tcp', 5201), ('webdav', 'tcp', 8443))`,
	}
}
