package main

import (
	"os"
	"strconv"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// bar shows progress on a terminal, and nothing elsewhere.
type bar struct{ shown *progressbar.ProgressBar }

// newBar begins a bar of so many steps; 0: it is not known how many.
func newBar(what string, total int) bar {
	if !isatty.IsTerminal(os.Stderr.Fd()) {
		return bar{}
	}
	if total == 0 {
		total = -1
	}
	return bar{progressbar.NewOptions(total, progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(total > 0))}
}

// A bar that cannot be drawn is no reason to stop: errors are the terminal's.
func (b bar) set(n int) {
	if b.shown != nil {
		_ = b.shown.Set(n)
	}
}

func (b bar) say(what string) {
	if b.shown != nil {
		b.shown.Describe(what)
	}
}

func (b bar) finish() {
	if b.shown != nil {
		_ = b.shown.Finish()
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
