// Package capture finds real captures of the first user's events, for tests of the project's own metrics.
package capture

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Lines are the lines of a capture; none, with a loud line in the log, where the folder with the captures is not there.
func Lines(t *testing.T, file string) []string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	folder := filepath.Join(filepath.Dir(here), "../../../../../shared/data/livepeer")
	if _, err := os.Stat(folder); err != nil {
		t.Log("SKIPPED: no real captures in", folder)
		return nil
	}
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
