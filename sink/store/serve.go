package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/sink/connlimit"
)

// othersMask is added to the umask of the store's process: others get no permission, the group may not write.
const othersMask = 0o027

// RunChild is the child's side of Start: Serve in a process that is confined (confine.go) and ends when its parent
// does, which closes the child's stdin. It executes this program again, with the same arguments.
func RunChild(ctx context.Context, o Options) error {
	o, err := o.resolve()
	if err != nil {
		return err
	}
	password, missing, err := confine(o)
	if err != nil {
		return err
	}
	o.Password = password
	if missing != "" {
		o.Log.Warn("the kernel does not confine the store to its directory: what statements may do is checked by the "+
			"store alone", zap.String("reason", missing))
	}
	// The engine creates files and directories with all permissions that the umask leaves.
	unix.Umask(unix.Umask(othersMask) | othersMask)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		waitForParent()
		cancel()
	}()
	return serve(ctx, o, missing == "")
}

// resolve fills in defaults and refuses options and directories that are not safe.
func (o Options) resolve() (Options, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return o, err
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return o, fmt.Errorf("store directory %s: %w", o.Path, err)
	}
	o.Path = path
	if o.Engine != "" {
		if o.Engine, err = filepath.Abs(o.Engine); err != nil {
			return o, fmt.Errorf("store engine %s: %w", o.Engine, err)
		}
	}
	if err := prepareDirectory(o.Path); err != nil {
		return o, err
	}
	return o, refuseForeignFiles(o.Path, os.Geteuid())
}

// Check returns what is wrong with the options. It creates and starts nothing.
func Check(o Options) error {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return err
	}
	if o.Engine != "" {
		if err := checkEngineFile(o.Engine); err != nil {
			return err
		}
	}
	if _, err := os.Stat(o.Path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := prepareDirectory(o.Path); err != nil {
		return err
	}
	if err := refuseForeignFiles(o.Path, os.Geteuid()); err != nil {
		return err
	}
	if _, err := ReadSecret(o.Path); err != nil && !errors.Is(err, os.ErrNotExist) && o.Password == "" && !o.Insecure {
		return err
	}
	return nil
}

const (
	headerPatience = 10 * time.Second // for the head of a request
	maxHeader      = 512 << 10        // bytes of it; the statement may stand there
	maxConnections = 512
	maxOfOne       = 128 // of one user of this host, or of one address elsewhere
)

// peerOf is who is at the other end of a connection, for connlimit. Processes of the store's own user, such as the
// collector, always get one.
func peerOf(c net.Conn) (name string, own bool) {
	if tcp, ok := c.(*net.TCPConn); ok {
		if uid, known := peerUser(tcp); known {
			return fmt.Sprintf("user %d", uid), uid == os.Geteuid() && uid != overflowUser
		}
	}
	return connlimit.Address(c)
}

// serve listens, loads the engine, opens the data directory and answers until ctx ends; then it lets running statements
// finish (at most o.Grace) and closes the engine. While the engine opens, requests are told so. One process can serve
// once: the engine does not unload. confined says that the kernel confines the process. Every error is one line for the
// operator.
func serve(ctx context.Context, o Options, confined bool) error {
	// The engine keeps a few things in the working directory, such as schemas of formats.
	if err := os.Chdir(o.Path); err != nil {
		return fmt.Errorf("store directory: %w", err)
	}
	d, err := doorOf(o)
	if err != nil {
		return err
	}
	listener, err := listenOn(o.Listen) // before the engine, so that a port in use is an error at once
	if err != nil {
		return err
	}
	defer listener.Close()
	s := newServer(o, d)
	s.rules.confined = confined
	h := &http.Server{
		Handler: s.handler(), ConnContext: rememberConnection, ReadHeaderTimeout: headerPatience,
		IdleTimeout:    5 * time.Minute,
		MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(o.Log),
		ConnState: connlimit.New(maxConnections, maxOfOne, peerOf).Changed,
	}
	failed := make(chan error, 1)
	go func() {
		failed <- fmt.Errorf("store on %s: %w", listener.Addr(), h.Serve(listener))
	}()
	anchor, err := s.openWhile(ctx, failed)
	if err != nil || anchor == nil {
		return err
	}
	o.Log.Info("is open", zap.String("path", o.Path), zap.String("url", "http://"+listener.Addr().String()),
		zap.String("engine", s.version))
	err = s.answerUntil(ctx, h, failed)
	s.sessions.close()
	if s.running() == 0 {
		// An engine must not be closed while it runs a statement: the process ends instead.
		anchor.close()
	}
	return err
}

// doorOf returns the door with its password: the one of the options, else that of the directory.
func doorOf(o Options) (*door, error) {
	d := newDoor(o)
	switch {
	case o.Password != "":
	case o.Insecure:
		o.Log.Warn("store lets everybody in who reaches it (store.insecure): they can read and change all of it",
			zap.String("address", o.Listen))
	default:
		secret, err := Secret(o.Path)
		if err != nil {
			return nil, err
		}
		d.password, d.trustUser = secret, true
		d.hint = fmt.Sprintf(": it is in %s (processes of user %s need none)", filepath.Join(o.Path, secretName),
			userName(os.Geteuid()))
	}
	return d, nil
}

func listenOn(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, unix.EADDRINUSE) {
		err = fmt.Errorf("%w: set store.listen (STORE_LISTEN) to another port; "+
			"if a ClickHouse server has this one, CLICKHOUSE_HOST=127.0.0.1 uses it", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return listener, nil
}

// openWhile is open, unless listening fails before. The connection is nil where ctx ends first: the engine cannot be
// told to stop opening, so the process ends under it, as in a crash.
func (s *server) openWhile(ctx context.Context, failed <-chan error) (*conn, error) {
	type opened struct {
		anchor *conn
		err    error
	}
	opening := make(chan opened, 1)
	go func() {
		anchor, err := s.open(ctx)
		opening <- opened{anchor, err}
	}()
	select {
	case got := <-opening:
		return got.anchor, got.err
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		return nil, nil
	}
}

// open waits for the directory and starts the engine. The returned connection keeps it running: with its last
// connection the engine stops. It is nil where ctx ended first.
func (s *server) open(ctx context.Context) (*conn, error) {
	lock, err := lockDirectory(ctx, s.o.Path, s.o.Log)
	if err != nil || lock == nil {
		return nil, err
	}
	s.lock = lock // held until the process ends
	e, err := loadEngine(s.o.Engine)
	if err != nil {
		return nil, err
	}
	config, err := s.o.writeConfig()
	if err != nil {
		return nil, err
	}
	s.opening.Store(true)
	anchor, err := e.open("--path="+s.o.Path, "--config-file="+config)
	if err != nil {
		return nil, fmt.Errorf("store engine %s cannot open %s: %w", s.o.Engine, s.o.Path, err)
	}
	if err := s.prepare(anchor); err != nil {
		anchor.close()
		return nil, fmt.Errorf("store engine %s: %w", s.o.Engine, err)
	}
	s.engine = e
	s.ready.Store(true)
	return anchor, nil
}

// prepare asks an engine that has just started what the store must know of it, and takes away what harms it.
func (s *server) prepare(c *conn) error {
	if err := s.readEngine(c); err != nil {
		return fmt.Errorf("it does not answer: %w", err)
	}
	var err error
	if s.rules.tableFunctions, err = unknownTableFunctions(c); err != nil {
		return fmt.Errorf("list its table functions: %w", err)
	}
	return dropDangerousTables(c)
}

// readEngine asks what the engine is and does by default.
func (s *server) readEngine(c *conn) error {
	text, err := c.text("SELECT version(), timezone(), toUInt32(getSetting('" + threadsSetting + "'))")
	if err != nil {
		return err
	}
	fields := strings.Split(strings.TrimSpace(text), "\t")
	if len(fields) != 3 {
		return fmt.Errorf("it says %q of itself", text)
	}
	s.version, s.zone = fields[0], fields[1]
	s.threads, err = strconv.Atoi(fields[2])
	return err
}

// dangerousTables are tables of the engine itself whose reading harms it. stack_trace interrupts every thread of this
// process to see its stack: that ended the engine in the middle of inserts. models starts a program, and
// jemalloc_profile_text reads a file. symbols goes through the whole library for each query.
var dangerousTables = []string{"stack_trace", "models", "jemalloc_profile_text", "symbols"}

// dropDangerousTables takes the tables away until the next start. The engine keeps no statement that brings them back:
// their table engines are not among allowedEngines.
func dropDangerousTables(c *conn) error {
	for _, name := range dangerousTables {
		if err := c.run("DROP TABLE IF EXISTS system." + name); err != nil {
			return fmt.Errorf("drop system.%s, which harms who reads it: %w", name, err)
		}
	}
	return nil
}

// unknownTableFunctions are the engine's table functions that are not known to stay within the database.
func unknownTableFunctions(c *conn) ([]string, error) {
	text, err := c.text("SELECT lower(name) FROM system.table_functions")
	if err != nil {
		return nil, err
	}
	var unknown []string
	for name := range strings.FieldsSeq(text) {
		if !slices.Contains(allowedTableFunctions, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown, nil
}

// answerUntil answers until ctx ends or listening fails, and then lets statements finish.
func (s *server) answerUntil(ctx context.Context, h *http.Server, failed <-chan error) (err error) {
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	s.lock.markStopping()
	grace, cancel := context.WithTimeout(context.Background(), s.o.Grace)
	defer cancel()
	if e := h.Shutdown(grace); errors.Is(e, context.DeadlineExceeded) {
		s.o.Log.Warn("store: statements still run after the grace period and are given up",
			zap.Int("statements", s.running()), zap.Duration("grace", s.o.Grace))
		h.Close() // which cancels them
		for end := time.Now().Add(cancelPatience); s.running() > 0 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return err
}

// cancelPatience is how long statements may take to end once they are cancelled.
const cancelPatience = 3 * time.Second

// running is the number of statements that the engine works on.
func (s *server) running() int { return s.places.running() }
