// The README shows the metric of example_test.go, line by line.
package metric_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTheREADMEShowsCodeThatRuns(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tested := strings.ReplaceAll(string(example), "\t", "    ")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of Go instead of a metric and its test", len(blocks))
	}
	for _, block := range blocks {
		// What stands around the code differs: the package, its imports, main.
		_, code, found := strings.Cut(block[1], "guest-sdk/go/metric\"\n)\n")
		if !found {
			code = block[1]
		}
		code, _, _ = strings.Cut(code, "func main()")
		for _, line := range strings.Split(code, "\n") {
			if !strings.Contains(tested, line) {
				t.Errorf("not in example_test.go: %s", line)
			}
		}
	}
}
