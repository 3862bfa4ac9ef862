package frame

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// module is a core module with an import section of these functions of these modules, all of type 0.
func module(imports ...string) []byte {
	section := binary.AppendUvarint(nil, uint64(len(imports)/2))
	for i := 0; i < len(imports); i += 2 {
		section = append(appendName(appendName(section, imports[i]), imports[i+1]), 0, 0)
	}
	core := append(slices.Clone(coreHeader), 1, 4, 1, 0x60, 0, 0, importSection)
	core = binary.AppendUvarint(core, uint64(len(section)))
	return append(append(core, section...), "\x00\x05\x04rest"...)
}

func TestTheModuleTakesThePlaceOfThePlaceholder(t *testing.T) {
	core := module(wasi, "fd_write", wasi, "random_get")
	component, err := Component(core)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(component, frame[:headerBytes]) || !bytes.Contains(component, core) {
		t.Error("not a component with the module in it")
	}
	if rest := frame[len(frame)-1000:]; !bytes.HasSuffix(component, rest) {
		t.Error("what stands behind the placeholder is not there")
	}
}

func TestAnImportThatStandsTwiceGetsAnotherName(t *testing.T) {
	component, err := Component(module(wasi, "fd_write", wasi, "random_get", wasi, "fd_write"))
	if expected := module(wasi, "fd_write", wasi, "random_get", wasiAgain, "fd_write"); err != nil || !bytes.Contains(component, expected) {
		t.Error("the second import has the same name", err)
	}
}

func TestWhatCannotBeAMetricIsRefused(t *testing.T) {
	for _, test := range []struct {
		file    []byte
		message string
	}{
		{nil, "not a core WebAssembly module"},
		{[]byte("\x7fELF"), "not a core WebAssembly module"},
		{frame, "not a core WebAssembly module"},
		{module("env", "random"), "imports env.random: a metric may import nothing"},
		{module(wasi, "fd_write", wasi, "fd_write", wasi, "fd_write"), "more than twice"},
		{module(wasi, "fd_write")[:30], "ends too early"},
	} {
		if _, err := Component(test.file); err == nil || !strings.Contains(err.Error(), test.message) {
			t.Errorf("%.30q: %v", test.file, err)
		}
	}
}
