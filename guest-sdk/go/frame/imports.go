// The imports of a core module.

package frame

import (
	"encoding/binary"
	"errors"
)

// Go imports some functions of WASI twice, once for its runtime and once for package syscall. A component does not allow
// that, so the second one gets another module name; the frame has the same functions behind both.
const (
	wasi      = "wasi_snapshot_preview1"
	wasiAgain = wasi + "_again"
)

// uniqueImports is an import section in which no name stands twice.
func uniqueImports(section []byte) ([]byte, error) {
	count, size := binary.Uvarint(section)
	if size <= 0 {
		return nil, errDamaged
	}
	unique := binary.AppendUvarint(nil, count)
	rest, taken := section[size:], map[string]bool{}
	for range count {
		module, afterModule := name(rest)
		function, afterFunction := name(afterModule)
		if len(afterFunction) < 2 {
			return nil, errDamaged
		}
		_, typeBytes := binary.Uvarint(afterFunction[1:])
		if typeBytes <= 0 {
			return nil, errDamaged
		}
		if module != wasi || afterFunction[0] != 0 {
			return nil, errors.New("the module imports " + module + "." + function + ": a metric may import nothing")
		}
		if taken[function] {
			module = wasiAgain
		}
		if taken[module+"."+function] {
			return nil, errors.New("the module imports " + function + " more than twice")
		}
		taken[function], taken[module+"."+function] = true, true
		unique = appendName(appendName(unique, module), function)
		unique = append(unique, afterFunction[:1+typeBytes]...)
		rest = afterFunction[1+typeBytes:]
	}
	return unique, nil
}

// name reads a name, and what follows it; nothing where the file ends too early.
func name(from []byte) (string, []byte) {
	length, size := binary.Uvarint(from)
	if size <= 0 || length > uint64(len(from)-size) {
		return "", nil
	}
	end := size + int(length)
	return string(from[size:end]), from[end:]
}

func appendName(to []byte, name string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(name))), name...)
}
