//go:build !wasip1

// What export does outside of WebAssembly.

package metric

import (
	"fmt"
	"os"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/contract"
)

// inComponent: outside of WebAssembly a metric is only a value, which tests drive.
const inComponent = false

// exportModule tells tidemark-go, which runs the program natively before it builds the component, what is in it.
func exportModule(described string, _ func() *contract.Module) {
	if os.Getenv("TIDEMARK_GO_DESCRIBE") != "" {
		fmt.Println(described)
	}
}
