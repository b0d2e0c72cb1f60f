package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
)

// keeperEnv has the directory of TestKeeperEngine: statements.json there, and engine.xml.
const keeperEnv = "STORE_KEEPER_TEST"

// replicated are the settings of one shard with replicas. The engine knows no clusters, so nothing is ON CLUSTER.
func replicated() schema.Settings {
	s := schema.Default()
	s.Replication.Enabled, s.Rollups = true, []string{schema.AllRollups}
	s.FlowExtensions, s.IPRefExtensions = []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}, []string{"scireg"}
	s.Views = []schema.View{schema.NewView(schema.ByEdgeAS, "5m"), schema.NewView(schema.ByInterface, "1h"),
		schema.NewView(schema.ByIPVersion, "1d")}
	return s
}

// Replicated tables, their dictionaries and views are made on a real engine with a real ZooKeeper, which then has a
// replica of each. The store's door refuses such tables, so that rows stay in the database: the engine is opened
// without it.
func TestKeeper(t *testing.T) {
	engine := os.Getenv("STORE_ENGINE")
	if engine == "" {
		engine, _ = filepath.Abs("../../.engine/libchdb.so") // cannot fail for a path like this
	}
	if _, err := os.Stat(engine); err != nil {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	keeper := startZooKeeper(t)
	host, port, err := net.SplitHostPort(keeper)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Path: t.TempDir(), Settings: map[string]string{
		"zookeeper.node.host": host, "zookeeper.node.port": port, "macros.shard": "01", "macros.replica": "replica-1",
	}}
	if _, err := o.writeConfig(); err != nil {
		t.Fatal(err)
	}
	statements, err := schema.Statements(replicated())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(statements)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Path, "statements.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKeeperEngine$", "-test.v")
	cmd.Env = append(os.Environ(), keeperEnv+"="+o.Path, "STORE_ENGINE="+engine)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := exec.CommandContext(t.Context(), "java", "-cp", zooKeeperClasses,
		"org.apache.zookeeper.ZooKeeperMain", "-server", keeper, "ls", "-R", "/clickhouse/tables").Output()
	if err != nil {
		t.Fatalf("ask ZooKeeper: %v", err)
	}
	made := 0
	for _, statement := range statements {
		name, isTable := strings.CutPrefix(statement, "CREATE TABLE IF NOT EXISTS `default`.`")
		if !isTable {
			continue
		}
		name, _, _ = strings.Cut(name, "`")
		made++
		if !strings.Contains(string(nodes), "/clickhouse/tables/01/default/"+name+"/replicas/replica-1\n") {
			t.Errorf("ZooKeeper has no replica of %s", name)
		}
	}
	if want := fmt.Sprintf("replicated tables %d\n", made); made < 40 || !strings.Contains(string(out), want) {
		t.Errorf("want %q", want)
	}
}

// TestKeeperEngine is the other process of TestKeeper: an engine cannot be unloaded.
func TestKeeperEngine(t *testing.T) {
	dir := os.Getenv(keeperEnv)
	if dir == "" {
		t.Skip("part of TestKeeper")
	}
	data, err := os.ReadFile(filepath.Join(dir, "statements.json"))
	var statements []string
	if err == nil {
		err = json.Unmarshal(data, &statements)
	}
	if err != nil {
		t.Fatal(err)
	}
	e, err := loadEngine(os.Getenv("STORE_ENGINE"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.open("--path="+dir, "--config-file="+filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	// The connection is not closed: the engine ends with a fault (26.7) when it has been at ZooKeeper.
	ask := func(sql string) (answer string) {
		t.Helper()
		if err := c.query(sql, "TabSeparated", nil, func(b []byte, _ counts) error {
			answer = strings.TrimSpace(string(b))
			return nil
		}); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return answer
	}
	for range 2 { // the second time everything is there
		for _, statement := range statements {
			if err := c.run(statement); err != nil {
				t.Fatalf("%v in:\n%s", err, statement)
			}
		}
	}
	tables := ask("SELECT count() FROM system.tables WHERE database = 'default' AND engine LIKE 'Replicated%'")
	fmt.Printf("replicated tables %s\n", tables)
	fmt.Println("read-only, of all:", ask("SELECT countIf(is_readonly), count() FROM system.replicas"))
}

// zooKeeperClasses are where Debian's package has them.
const zooKeeperClasses = "/etc/zookeeper/conf:/usr/share/java/*"

// startZooKeeper runs the ZooKeeper of Debian's package zookeeper and returns its address.
func startZooKeeper(t *testing.T) string {
	t.Helper()
	jars, _ := filepath.Glob("/usr/share/java/zookeeper*.jar") // the pattern is well-formed
	java, err := exec.LookPath("java")
	if err != nil || len(jars) == 0 {
		t.Skip("no ZooKeeper: apt-get install zookeeper")
	}
	dir, address := t.TempDir(), freeAddress(t)
	_, port, _ := net.SplitHostPort(address) // as it was made
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil,
		"tickTime=2000\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\n"+
			"admin.enableServer=false\n4lw.commands.whitelist=ruok\n", dir, port), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(java, "-Xmx256m", "-cp", zooKeeperClasses,
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if answer, err := fourLetters(address); err == nil && answer == "imok" {
			return address
		}
		select {
		case <-ended:
			t.Fatalf("ZooKeeper ended at once:\n%s", out.String())
		default:
		}
	}
	t.Fatalf("ZooKeeper does not answer:\n%s", out.String())
	return ""
}

// fourLetters asks ZooKeeper whether it is well.
func fourLetters(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("ruok")); err != nil {
		return "", err
	}
	answer := make([]byte, 4)
	_, err = conn.Read(answer)
	return string(answer), err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
