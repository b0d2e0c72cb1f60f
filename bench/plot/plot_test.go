package plot

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestPlots(t *testing.T) {
	begins := map[string]string{".svg": "<?xml", ".png": "\x89PNG"}
	lines := []Line{{"ours", []float64{1e5, 5e5}, []float64{0, 0}},
		{"another", []float64{1e5, 5e5}, []float64{0.1, 0.7}}}
	for ending, magic := range begins {
		for name, draw := range map[string]func(string) error{
			"throughput": func(path string) error { return Throughput(path, "throughput", []float64{1e6, 1.9e6}) },
			"one worker": func(path string) error { return Throughput(path, "throughput", []float64{1e6}) },
			"loss":       func(path string) error { return Loss(path, "loss", lines) },
		} {
			t.Run(name+ending, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "plot"+ending)
				if err := draw(path); err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.HasPrefix(data, []byte(magic)) {
					t.Errorf("begins with %q", data[:min(len(data), 8)])
				}
				if ending == ".svg" && name == "loss" && !bytes.Contains(data, []byte("another")) {
					t.Error("the legend does not name the collectors")
				}
			})
		}
	}
	if err := Throughput(filepath.Join(t.TempDir(), "plot.what"), "", []float64{1}); err == nil {
		t.Error("a file of an unknown kind is no error")
	}
}
