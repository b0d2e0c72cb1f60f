package metadata

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/metranova/flow-collector/metadata/caida"
	"github.com/metranova/flow-collector/metadata/geo"
	"github.com/metranova/flow-collector/metadata/source"
)

// scale is how much data is generated; full is what the real sets have.
type scale struct{ blocks4, blocks6, asn4, asn6, as, organizations, locations, registry int }

func full(part float64) scale {
	n := func(of int) int { return int(float64(of) * part) }
	return scale{n(4_000_000), n(1_500_000), n(500_000), n(150_000), n(120_000), n(100_000), n(120_000), n(5_000)}
}

// generate writes files of the forms and shapes of GeoLite2, CAIDA and the Science Registry, the same for the same
// scale.
func (s scale) generate(t testing.TB, dir string) SourceOptions {
	r := rand.New(rand.NewPCG(1, 2))
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, header string, rows func(line func(format string, a ...any))) string {
		f, err := os.Create(in(name))
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		_, _ = w.WriteString(header)
		rows(func(format string, a ...any) { fmt.Fprintf(w, format+"\n", a...) })
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	place := func() string {
		return fmt.Sprintf("%d,%d,,0,0,%d,%.4f,%.4f,%d,", 1000+r.IntN(s.locations), 1000+r.IntN(250), r.IntN(99999),
			r.Float64()*180-90, r.Float64()*360-180, 1+r.IntN(1000))
	}
	const blocksHeader = "network,geoname_id,registered_country_geoname_id,represented_country_geoname_id," +
		"is_anonymous_proxy,is_satellite_provider,postal_code,latitude,longitude,accuracy_radius,is_anycast\n"
	const asnHeader = "network,autonomous_system_number,autonomous_system_organization\n"
	as := func() int { return 1 + r.IntN(s.as) }
	return SourceOptions{
		Geo: geo.Files{
			Locations: []string{write("locations.csv",
				"geoname_id,locale_code,continent_code,continent_name,country_iso_code,country_name,"+
					"subdivision_1_iso_code,subdivision_1_name,subdivision_2_iso_code,subdivision_2_name,city_name,"+
					"metro_code,time_zone,is_in_european_union\n",
				func(line func(string, ...any)) {
					for i := range s.locations {
						line("%d,en,EU,Europe,CH,Switzerland,R%d,\"Region, %d\",,,Town number %d,,Europe/Zurich,0",
							1000+i, i%300, i%300, i)
					}
				})},
			Blocks: []string{
				write("blocks4.csv", blocksHeader, func(line func(string, ...any)) {
					s.eachBlock4(r, func(network string) { line("%s,%s", network, place()) })
				}),
				write("blocks6.csv", blocksHeader, func(line func(string, ...any)) {
					for i := range s.blocks6 { // fifteen in each /32: a /36, three /44, eleven /48
						n, of := i%15, 0x24000000+i/15
						switch {
						case n == 0:
							line("%x:%x:8000::/33,%s", of>>16, of&0xffff, place())
						case n < 4:
							line("%x:%x:%x::/44,%s", of>>16, of&0xffff, n<<4, place())
						default:
							line("%x:%x:%x::/48,%s", of>>16, of&0xffff, 0x1000+n*37, place())
						}
					}
				}),
			},
			ASN: []string{
				write("asn4.csv", asnHeader, func(line func(string, ...any)) {
					for i := range s.asn4 { // /20, and in one of ten a /24
						slot, bits := i, 20
						if i%10 == 9 {
							slot, bits = i-1, 24
						}
						a := uint32(1<<24) + uint32(uint64(slot)*(220<<12)/uint64(s.asn4))<<12
						line("%d.%d.%d.%d/%d,%d,\"Organization, %d\"", a>>24, a>>16&255, a>>8&255, a&255, bits, as(), i)
					}
				}),
				write("asn6.csv", asnHeader, func(line func(string, ...any)) {
					for i := range s.asn6 {
						of := 0x24000000 + i/3*2
						switch i % 3 {
						case 0, 1:
							of += i % 3
							line("%x:%x::/32,%d,Organization %d", of>>16, of&0xffff, as(), i)
						default:
							line("%x:%x:1000::/36,%d,Organization %d", of>>16, of&0xffff, as(), i)
						}
					}
				}),
			},
		},
		CAIDA: caida.Files{AS2Org: write("as-org2info.jsonl", "", func(line func(string, ...any)) {
			for i := range s.organizations {
				line(`{"changed":"20240102","country":"CH","name":"Organization number `+
					`%d","organizationId":"ORG-%d-RIPE","source":"RIPE","type":"Organization"}`, i, i)
			}
			for i := range s.as {
				line(
					`{"asn":"%d","changed":"20240102","name":"AS-NAME-%d","opaqueId":"x",`+
						`"organizationId":"ORG-%d-RIPE","source":"RIPE","type":"ASN"}`,
					i+1, i+1, r.IntN(s.organizations))
			}
		})},
		Registries: map[string]source.RegistrySettings{"scireg": {Places: []string{write("scireg.json", "[",
			func(line func(string, ...any)) {
				for i := range s.registry {
					comma := ","
					if i == s.registry-1 {
						comma = "]"
					}
					line(`{"scireg_id":%d,"addresses":["%d.%d.%d.0/26","2400:%x:1000::/48"],"org_name":"Lab `+
						`%d","discipline":"Physics","latitude":"47.5","longitude":"8.5","resource_name":"DTN `+
						`%d","project_name":"P","contact_email":"unknown","last_updated":"2024-10-01"}%s`,
						i, 1+i%220, i/220, i%251, i, i, i, comma)
				}
			})}}},
	}
}

// eachBlock4 shares 1.0.0.0 to 223.255.255.255 out: of each /22 nothing, all, halves, quarters or small pieces.
func (s scale) eachBlock4(r *rand.Rand, yield func(network string)) {
	left := s.blocks4
	block := func(a uint32, bits int) {
		if left--; left >= 0 {
			yield(fmt.Sprintf("%d.%d.%d.%d/%d", a>>24, a>>16&255, a>>8&255, a&255, bits))
		}
	}
	for a := uint32(1 << 24); a < 224<<24 && left > 0; a += 1024 {
		switch n := r.IntN(100); {
		case n < 25:
			block(a, 22)
		case n < 45:
			block(a, 23)
			block(a+512, 23)
		case n < 58:
			for i := range uint32(4) {
				block(a+256*i, 24)
			}
		case n < 59:
			for i := range uint32(8) {
				block(a+32*i, 27)
			}
			for i := range uint32(3) {
				block(a+256+i, 32)
			}
		}
	}
}
