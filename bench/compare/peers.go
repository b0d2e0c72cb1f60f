package compare

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/metranova/flow-collector/decoder/flow"
)

// pmacct's collectors print JSON, a line for each flow, with the keys that a collector of traffic needs.
func pmacct() []Contender {
	const install = "apt-get install pmacct"
	var list []Contender
	for _, daemon := range []struct {
		name      string
		protocols []flow.Protocol
	}{{"nfacctd", netflows()}, {"sfacctd", []flow.Protocol{flow.SFlow5}}} {
		command := func(dir string, port uint16, _ flow.Protocol) (*exec.Cmd, error) {
			config := filepath.Join(dir, "pmacct.conf")
			return exec.Command(daemon.name, "-f", config),
				os.WriteFile(config, []byte(pmacctConfig(daemon.name, dir, port)), 0o600)
		}
		list = append(list,
			Contender{
				Name:     daemon.name + ": core process",
				Includes: "decoded, handed to its print plugin, whose part is left out",
				Program:  daemon.name, Install: install, Protocols: daemon.protocols, Core: true, Command: command,
				Count: countLines("flows.json"),
			},
			Contender{
				Name:     daemon.name + ": JSON",
				Includes: "decoded, aggregated, as JSON in a file: both processes, no enrichment",
				Program:  daemon.name, Install: install, Protocols: daemon.protocols, Command: command,
				Count: countLines("flows.json"),
			})
	}
	return list
}

func pmacctConfig(daemon, dir string, port uint16) string {
	return fmt.Sprintf(`daemonize: false
%[1]s_ip: 127.0.0.1
%[1]s_port: %[2]d
%[1]s_pipe_size: 67108864
plugins: print[json]
aggregate[json]: src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, in_iface, out_iface, src_as, dst_as, `+
		`src_mask, dst_mask, peer_src_ip, peer_dst_ip, sampling_rate, timestamp_start, timestamp_end
plugin_pipe_size: 268435456
plugin_buffer_size: 262144
print_output[json]: json
print_output_file[json]: %[3]s/flows.json
print_output_file_append[json]: true
print_refresh_time[json]: 5
print_cache_entries[json]: 65521
`, daemon, port, dir)
}

// nfdump's collectors write files of their own format.
func nfdump() []Contender {
	var list []Contender
	for _, daemon := range []struct {
		name, install string
		protocols     []flow.Protocol
	}{
		{"nfcapd", "apt-get install nfdump", netflows()},
		{"sfcapd", "apt-get install nfdump-sflow", []flow.Protocol{flow.SFlow5}},
	} {
		list = append(list, Contender{
			Name: daemon.name, Includes: "decoded, in files of its own format, no enrichment",
			Program: daemon.name, Install: daemon.install, Protocols: daemon.protocols, Count: countNfdump,
			Command: func(dir string, port uint16, _ flow.Protocol) (*exec.Cmd, error) {
				files := filepath.Join(dir, "files")
				return exec.Command(daemon.name, "-p", strconv.Itoa(int(port)), "-b", "127.0.0.1", "-B", "67108864",
						"-t", "3600", "-w", files),
					os.Mkdir(files, 0o777)
			},
		})
	}
	return list
}

var nfdumpSays = regexp.MustCompile(`Flows: (\d+), Packets: \d+, Bytes: \d+, Sequence Errors: (\d+)`)

// countNfdump adds up what it says at the end of each file.
func countNfdump(dir string) (c Count, err error) {
	data, err := os.ReadFile(filepath.Join(dir, outputFile))
	if err != nil {
		return c, err
	}
	for _, m := range nfdumpSays.FindAllSubmatch(data, -1) {
		flows, _ := strconv.ParseUint(string(m[1]), 10, 64) // digits only
		missing, _ := strconv.ParseUint(string(m[2]), 10, 64)
		c.Records += flows
		c.Missing += missing
	}
	return c, nil
}

// goflow2 writes messages to a file.
func goflow2() []Contender {
	const install = "go install github.com/netsampler/goflow2/v2/cmd/goflow2@latest"
	contender := func(name, format, includes string, count func(string) (Count, error)) Contender {
		return Contender{
			Name: "goflow2: " + name, Includes: includes, Program: "goflow2", Install: install, Count: count,
			Command: func(dir string, port uint16, p flow.Protocol) (*exec.Cmd, error) {
				scheme := "netflow"
				if p == flow.SFlow5 {
					scheme = "sflow"
				}
				return exec.Command("goflow2", "-listen", scheme+"://"+loopback(port)+"?count=1&workers=1", "-format",
					format, "-addr", "127.0.0.1:0",
					"-transport", "file", "-transport.file", filepath.Join(dir, "flows.out")), nil
			},
		}
	}
	return []Contender{
		contender("protobuf", "bin", "decoded, as protobuf messages in a file, no enrichment", nil),
		contender("JSON", "json", "decoded, as JSON in a file, no enrichment", countLines("flows.out")),
	}
}
