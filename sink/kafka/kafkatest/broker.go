// Package kafkatest runs a real Apache Kafka broker for tests, and reads topics with kcat, an independent client.
package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The user for the broker's SASL listener, with PLAIN and SCRAM-SHA-512.
const (
	User     = "collector"
	Password = "secret"
)

// Broker is one Kafka node, broker and controller (KRaft), on 127.0.0.1. It stops with the test.
type Broker struct {
	Plaintext, SSL, SASL string // addresses: unencrypted, with mutual TLS, with TLS and a login
	Authority            *Authority

	t         testing.TB
	dir, libs string
	command   *exec.Cmd
	ended     chan struct{} // closed when the process has ended
}

// Start formats the broker's storage and starts it. If the broker's libraries are missing, the test is skipped.
func Start(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{t: t, dir: t.TempDir(), libs: os.Getenv("KAFKA_LIBS")}
	if b.libs == "" {
		t.Skip("no Kafka broker: run `make test-kafka`")
	}
	b.Authority = NewAuthority(t)
	controller := freeAddress(t)
	b.Plaintext, b.SSL, b.SASL = freeAddress(t), freeAddress(t), freeAddress(t)
	b.writeProperties(controller)
	b.format()
	b.Run()
	t.Cleanup(b.Stop)
	return b
}

func (b *Broker) writeProperties(controller string) {
	b.t.Helper()
	listeners := fmt.Sprintf("PLAINTEXT://%s,SSL://%s,SASL_SSL://%s", b.Plaintext, b.SSL, b.SASL)
	properties := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAINTEXT",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
		"listeners=" + listeners + ",CONTROLLER://" + controller,
		"advertised.listeners=" + listeners,
		"log.dirs=" + filepath.Join(b.dir, "log"),
		"num.partitions=3",
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"ssl.keystore.type=PEM",
		"ssl.keystore.location=" + b.Authority.Keystore("127.0.0.1", time.Now().Add(time.Hour)),
		"ssl.truststore.type=PEM",
		"ssl.truststore.location=" + b.Authority.File(),
		"listener.name.ssl.ssl.client.auth=required",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
		fmt.Sprintf(
			`listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule `+
				`required user_%s="%s";`, User, Password),
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=" +
			"org.apache.kafka.common.security.scram.ScramLoginModule required;",
	}
	if err := os.WriteFile(b.properties(), []byte(strings.Join(properties, "\n")+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *Broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// format creates the empty log of a new cluster, with the SCRAM user.
func (b *Broker) format() {
	b.t.Helper()
	id := make([]byte, 16)
	rand.Read(id)
	out, err := b.java("kafka.tools.StorageTool", "format", "-t", base64.RawURLEncoding.EncodeToString(id), "-c",
		b.properties(),
		"--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", User, Password)).CombinedOutput()
	if err != nil {
		b.t.Fatalf("format the broker's storage: %v\n%s", err, out)
	}
}

func (b *Broker) java(class string, arguments ...string) *exec.Cmd {
	return exec.Command("java", append([]string{
		"-Xms128m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(b.libs, "*"),
		class,
	}, arguments...)...)
}

// Run starts or restarts the broker, and returns when it responds.
func (b *Broker) Run() {
	b.t.Helper()
	output, err := os.OpenFile(filepath.Join(b.dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer output.Close()
	b.command = b.java("kafka.Kafka", b.properties())
	b.command.Stdout, b.command.Stderr = output, output
	b.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.start(); err != nil {
		b.t.Fatal(err)
	}
	client := b.client()
	defer client.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := kadm.NewClient(client).BrokerMetadata(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(filepath.Join(b.dir, "output"))
			b.t.Fatalf("the broker does not answer: %v\n%s", err, said)
		}
	}
}

// start starts the process from a locked thread: the kernel ends the process with the thread, whatever happens to the
// test.
func (b *Broker) start() error {
	started := make(chan error)
	command, ended := b.command, make(chan struct{})
	b.ended = ended
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // always an error after a signal
		}
	}()
	return <-started
}

// Stop ends the broker gracefully.
func (b *Broker) Stop() { b.end(syscall.SIGTERM) }

// Kill ends it immediately.
func (b *Broker) Kill() { b.end(syscall.SIGKILL) }

func (b *Broker) end(sig syscall.Signal) {
	if b.command == nil {
		return
	}
	if err := b.command.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.t.Errorf("end the broker: %v", err)
	}
	<-b.ended
	b.command = nil
}

func (b *Broker) client() *kgo.Client {
	b.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Plaintext))
	if err != nil {
		b.t.Fatal(err)
	}
	return client
}

// CreateTopic creates a topic with three partitions. Settings are name=value, such as max.message.bytes=1000.
func (b *Broker) CreateTopic(topic string, settings ...string) {
	b.t.Helper()
	client := b.client()
	defer client.Close()
	configs := map[string]*string{}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		configs[name] = &value
	}
	if _, err := kadm.NewClient(client).CreateTopic(context.Background(), 3, 1, configs, topic); err != nil {
		b.t.Fatal(err)
	}
}

// Count returns how many messages the topic has.
func (b *Broker) Count(topic string) (n int64) {
	b.t.Helper()
	client := b.client()
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(context.Background(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Consume returns all messages of the topic as kcat reads them, each as a line KEY|VALUE. Settings are librdkafka's.
func (b *Broker) Consume(t testing.TB, topic, address string, settings ...string) []string {
	t.Helper()
	arguments := []string{"-b", address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", `%k|%s\n`}
	for _, s := range settings {
		arguments = append(arguments, "-X", s)
	}
	command := exec.Command("kcat", arguments...)
	var problems strings.Builder
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(arguments, " "), err, &problems)
	}
	text := strings.TrimSuffix(string(out), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
