// Package frame makes a component of a core module that Go's compiler built. It needs no other tool: around the module
// of a metric, everything in a component is always the same. So there is one component with a placeholder in it,
// frame.wasm, and making another one is putting the module in the placeholder's place.
//
// frame.wasm has the types of wit/metric.wit, and answers WASI inside (wasi.wat), so that the component imports nothing.
// `cargo xtask go-frame` makes it, of hole.wat, wasi.wat and the contract.
package frame

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
)

//go:embed frame.wasm
var frame []byte

const (
	headerBytes = 8
	// The section of a component that holds a core module; the first one is the placeholder.
	coreModuleSection = 1
	// The section of a core module that holds its imports.
	importSection = 2
)

var (
	coreHeader = []byte("\x00asm\x01\x00\x00\x00")
	errDamaged = errors.New("a WebAssembly file ends too early")
)

// Component is a component around the core module of a metric.
func Component(core []byte) ([]byte, error) {
	if !bytes.HasPrefix(core, coreHeader) {
		return nil, errors.New("not a core WebAssembly module: build one with GOOS=wasip1 GOARCH=wasm and -buildmode=c-shared")
	}
	core, err := replaceSection(core, importSection, uniqueImports)
	if err != nil {
		return nil, err
	}
	return replaceSection(frame, coreModuleSection, func([]byte) ([]byte, error) { return core, nil })
}

// replaceSection replaces the content of the first section of a kind, if there is one.
func replaceSection(file []byte, kind byte, replace func(content []byte) ([]byte, error)) ([]byte, error) {
	for at := headerBytes; at < len(file); {
		size, sizeBytes := binary.Uvarint(file[at+1:])
		content := at + 1 + sizeBytes
		if sizeBytes <= 0 || size > uint64(len(file)-content) {
			return nil, errDamaged
		}
		end := content + int(size)
		if file[at] == kind {
			replaced, err := replace(file[content:end])
			if err != nil {
				return nil, err
			}
			whole := append([]byte{}, file[:at+1]...)
			whole = binary.AppendUvarint(whole, uint64(len(replaced)))
			return append(append(whole, replaced...), file[end:]...), nil
		}
		at = end
	}
	return file, nil
}
