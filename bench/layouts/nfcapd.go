package layouts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink/freeport"
)

var flowsOf = regexp.MustCompile(`Flows: (\d+)`)

// sendEvery is the pause after each datagram. It keeps nfcapd from losing datagrams on a busy machine.
const sendEvery = 200 * time.Microsecond

// Files sends the datagrams to an nfcapd (nfdump) and returns the bytes per flow of its files, which are compressed by
// LZ4 (-y).
func Files(ctx context.Context, datagrams []exporter.Datagram, dir string) (bytesPerFlow float64, flows int,
	err error) {
	to, err := freeport.Next()
	if err != nil {
		return 0, 0, err
	}
	files, output := filepath.Join(dir, "nfcapd"), filepath.Join(dir, "nfcapd.log")
	if err := os.Mkdir(files, 0o777); err != nil {
		return 0, 0, err
	}
	log, err := os.Create(output)
	if err != nil {
		return 0, 0, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, "nfcapd", "-p", strconv.Itoa(int(to.Port())), "-b", "127.0.0.1", "-B", "67108864",
		"-t", "3600", "-y", "-w", files)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("start nfcapd: %w", err)
	}
	err = errors.Join(send(ctx, datagrams, to.String()), cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait() // the error is the signal's
	if err != nil {
		return 0, 0, err
	}
	said, err := os.ReadFile(output)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range flowsOf.FindAllSubmatch(said, -1) {
		n, _ := strconv.Atoi(string(m[1])) // digits only
		flows += n
	}
	var bytes int64
	err = filepath.WalkDir(files, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err == nil && flows == 0 {
		err = errors.New("nfcapd has no flows")
	}
	return float64(bytes) / float64(max(flows, 1)), flows, err
}

func send(ctx context.Context, datagrams []exporter.Datagram, to string) error {
	conn, err := net.Dial("udp4", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	time.Sleep(time.Second) // nfcapd does not report that it listens
	for i := range datagrams {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := conn.Write(datagrams[i].Payload); err != nil {
			return err
		}
		time.Sleep(sendEvery)
	}
	time.Sleep(time.Second)
	return nil
}
