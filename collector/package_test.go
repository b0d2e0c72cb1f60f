package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/metranova/flow-collector/collector/testkit"
)

// startHost starts a host without a network, which systemd runs.
//
// make test-deb sets PACKAGES, a directory with the packages and, in its folder next, a later version of
// flow-collector; and SYSTEMD_IMAGE, a Debian with systemd and rpm.
func startHost(t *testing.T, kind string) host {
	t.Helper()
	packages, image := os.Getenv("PACKAGES"), os.Getenv("SYSTEMD_IMAGE")
	if packages == "" {
		t.Skip("PACKAGES is not set: make test-deb sets it")
	}
	c := newContainers(t)
	files := t.TempDir()
	for i, payload := range testkit.Payloads(t, "softflowd-v5") {
		if err := os.WriteFile(filepath.Join(files, fmt.Sprintf("%03d", i)), payload, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	name := fmt.Sprintf("flow-collector-%s-%d", kind, os.Getpid())
	c.start(name, "--systemd", "always", "--privileged", "--network", "none", "--volume", packages+":/packages:ro",
		"--volume", files+":/datagrams:ro", image, "/lib/systemd/systemd")
	h := host{c, name}
	testkit.WaitFor(t, "systemd to be up", func() bool {
		state, _ := c.run("exec", name, "systemctl", "is-system-running")
		return state == "running" || state == "degraded"
	})
	return h
}

// Packages on a host: installed, started, upgraded, removed.
func TestDebianPackage(t *testing.T) {
	h := startHost(t, "deb")
	h.sh("apt-get install --yes --no-install-recommends /packages/flow-collector_*.deb " +
		"/packages/flow-collector-engine_*.deb")
	h.isReadyToUse("zsh/vendor-completions")
	h.has("dpkg --verify flow-collector flow-collector-engine", `^$`)
	h.collectsAcross("apt-get install --yes /packages/next/flow-collector_*.deb")

	h.sh("apt-get remove --yes flow-collector flow-collector-engine")
	h.isRemoved()
	h.has("ls -d /etc/flow-collector/collector.yml", `collector\.yml$`)
	h.sh("apt-get purge --yes flow-collector")
	h.has("ls -d /etc/flow-collector/collector.yml /etc/default/flow-collector /var/lib/flow-collector "+
		"/var/cache/flow-collector 2>/dev/null || true", `^$`)
	h.has("ls /etc/flow-collector", `^meta_device\.yml$`) // it is not of the package
}

// The same with rpm. The host is a Debian, whose packages rpm does not know: so what they depend on is not tested.
func TestRPMPackage(t *testing.T) {
	h := startHost(t, "rpm")
	const rpm = "rpm --force-debian --nodeps "
	h.has("rpm -qp --requires /packages/flow-collector-[0-9]*.x86_64.rpm", `glibc >= 2\.34[\s\S]*systemd`)
	h.sh(rpm + "--install /packages/flow-collector-[0-9]*.x86_64.rpm /packages/flow-collector-engine-*.x86_64.rpm")
	h.isReadyToUse("zsh/site-functions")
	// The group is set after the installation.
	h.has("rpm --verify --nodeps --nogroup flow-collector flow-collector-engine", `^$`)
	h.collectsAcross(rpm + "--upgrade /packages/next/flow-collector-[0-9]*.x86_64.rpm")

	h.sh(rpm + "--erase flow-collector flow-collector-engine")
	h.isRemoved()
	h.has("ls /etc/flow-collector", `collector\.yml\.rpmsave\nmeta_device\.yml$`) // edited, and not of the package
}

// The modes of what is in the packages depend neither on the umask of the clone nor on that of the build.
func TestPackageModes(t *testing.T) {
	for _, name := range []string{"nfpm.yaml", "nfpm-engine.yaml"} {
		text, err := os.ReadFile("../conf.example/deb/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var spec struct {
			Contents []struct {
				Src, Dst, Type string
				Info           struct{ Mode int } `yaml:"file_info"`
			}
		}
		if err := yaml.Unmarshal(text, &spec); err != nil || len(spec.Contents) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		for _, c := range spec.Contents {
			if tree := c.Type == "tree"; tree && !strings.HasPrefix(c.Src, "dist/trees/") || !tree && c.Info.Mode == 0 {
				t.Errorf("%s: %s has the mode that it happens to have here", name, c.Dst)
			}
		}
	}
}

// isReadyToUse has what an installation puts where, and that nothing is started by it.
func (h host) isReadyToUse(zsh string) {
	h.t.Helper()
	h.has("id -u flow-collector", `^\d+$`)
	h.has("stat -c '%U:%G %a' /etc/flow-collector/collector.yml /etc/default/flow-collector",
		`^root:flow-collector 640\nroot:flow-collector 640$`)
	h.has("systemctl is-enabled flow-collector", `^enabled$`)
	h.has("systemctl is-active flow-collector || true", `^inactive$`)
	h.has("systemd-analyze verify flow-collector.service 2>&1 | grep -v 'Command man' || true", `^$`)
	h.has("ls /usr/share/man/man1/collector.1.gz /usr/share/man/man1/collector-run.1.gz "+
		"/usr/share/bash-completion/completions/collector /usr/share/"+zsh+"/_collector "+
		"/usr/share/fish/vendor_completions.d/collector.fish | wc -l", `^5$`)
	h.has("find /usr/share/flow-collector /usr/share/doc/flow-collector -not -perm -o=r", `^$`)
	h.has("ls /usr/share/doc/flow-collector/collector/explore", `^README\.md$`)
	h.has("cd /usr/share/doc/flow-collector/examples && ls kafka/*.sql prometheus/*.yml | wc -l", `^4$`)
}

// collectsAcross starts the service, sends flows to it and upgrades it.
func (h host) collectsAcross(upgrade string) {
	t := h.t
	t.Helper()
	// What is in the service's files counts for all commands.
	h.sh(`printf 'table: meta_device\ndata:\n  - {id: router1, type: router, loopback_ip: ["127.0.0.1"]}\n' ` +
		`>/etc/flow-collector/meta_device.yml; echo CLICKHOUSE_POLICY_ORIGINATOR=example >>/etc/default/flow-collector`)
	h.has("collector config 2>&1", `/etc/flow-collector/collector\.yml[\s\S]*policy\.originator[\s\S]*example`)
	h.has("collector check 2>&1", `/etc/flow-collector/collector\.yml`)

	h.sh("systemctl start flow-collector")
	h.ready()
	h.has("ps -o user= -C collector | sort -u", `^flow-c`)
	h.sh("for f in /datagrams/*; do cat $f >/dev/udp/127.0.0.1/2055; done")
	const count = `collector query --format TSV ` +
		`"SELECT count(), any(device_id), any(policy_originator) FROM data_flow" 2>/dev/null`
	h.waitFor(count, fmt.Sprintf(`^%d\trouter1\texample$`, rowsOfV5))
	h.sh("systemctl reload flow-collector")

	// BGP's port, which is below 1024, by the drop-in that the package brings.
	h.sh("printf 'BGP_LISTEN=127.0.0.1:179\\nBGP_NEIGHBORS=127.0.0.0/8\\n' >>/etc/default/flow-collector")
	h.sh("systemctl restart flow-collector")
	h.waitFor("journalctl -u flow-collector | tail -30", `127\.0\.0\.1:179: bind: permission denied`)
	h.sh("install -D -m 644 /usr/share/doc/flow-collector/examples/systemd/bgp-port.conf " +
		"/etc/systemd/system/flow-collector.service.d/bgp-port.conf")
	h.sh("systemctl daemon-reload && systemctl restart flow-collector")
	h.ready()
	h.waitFor("exec 3<>/dev/tcp/127.0.0.1/179 && echo open", `^open$`)
	h.has("grep CapEff /proc/$(systemctl show --property MainPID --value flow-collector)/status", `\s0000000000000400$`)
	h.has("ps -o user= -C collector | sort -u", `^flow-c`)

	// An upgrade keeps edited files and rows, and starts the service again.
	before := h.sh("systemctl show --property MainPID --value flow-collector")
	h.sh("sed -i 's/^# The collector/# Edited here. The collector/' /etc/flow-collector/collector.yml")
	h.sh(upgrade)
	h.ready()
	if h.sh("systemctl show --property MainPID --value flow-collector") == before {
		t.Error("an upgrade leaves the old program running")
	}
	h.has("head -1 /etc/flow-collector/collector.yml", "Edited here")
	h.waitFor(count, fmt.Sprintf(`^%d\t`, rowsOfV5))
	h.has("journalctl -u flow-collector | grep -c 'nothing lost'", `^[1-9]`)
}

// isRemoved has that the program is gone, and that what it collected is not.
func (h host) isRemoved() {
	h.t.Helper()
	h.has("systemctl is-active flow-collector || true", `^inactive$`)
	h.has("find / -xdev -name '*flow-collector*' -not -path '/proc/*' -not -path '/etc/*' -not -path '/var/*' "+
		"-not -path '/run/*' -not -path '/tmp/*' -not -path '/packages*'", `^$`)
	h.has("ls -d /var/lib/flow-collector/data", `data$`)
	h.has("ls /etc/systemd/system/multi-user.target.wants | grep flow-collector || true", `^$`)
}

// host is a container with systemd.
type host struct {
	containers
	name string
}

// sh runs a script and returns its output.
func (h host) sh(script string) string {
	h.t.Helper()
	return h.must("exec", "--env", "DEBIAN_FRONTEND=noninteractive", h.name, "bash", "-c", "set -o pipefail; "+script)
}

// has compares the output of a script with a pattern, and logs both: the log is the transcript of an installation.
func (h host) has(script, pattern string) {
	h.t.Helper()
	got := h.sh(script)
	h.t.Logf("$ %s\n%s", script, got)
	if !regexp.MustCompile(pattern).MatchString(got) {
		h.t.Errorf("%s prints %q, want %s", script, got, pattern)
	}
}

// waitFor runs a script until its output fits a pattern.
func (h host) waitFor(script, pattern string) {
	h.t.Helper()
	testkit.WaitFor(h.t, script+" to print "+pattern, func() bool {
		got, _ := h.run("exec", h.name, "bash", "-c", script)
		return regexp.MustCompile(pattern).MatchString(got)
	})
}

func (h host) ready() {
	h.t.Helper()
	h.waitFor("exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -1 <&3",
		" 200 ")
	if journal := h.sh("journalctl -u flow-collector"); strings.Contains(journal, "PANIC") {
		h.t.Error(journal)
	}
}
