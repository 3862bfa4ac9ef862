// The memory for the arguments of a call. Which calls there are is not known here.

package metric

import "unsafe"

// arguments is the memory into which the host writes the arguments of a call. It is used again and again, so that
// arguments are no work for the garbage collector.
var arguments region

// The most that is kept for the next call.
const keptBytes = 16 << 20

type region struct {
	// Whole words, so that it is aligned for everything.
	current []uint64
	used    uintptr
	// Parts of the region that became too small during this call.
	full [][]uint64
}

//go:wasmexport cabi_realloc
func exportRealloc(old unsafe.Pointer, oldLength, align, length uint32) unsafe.Pointer {
	at := arguments.allocate(uintptr(length))
	if old != nil {
		copy(unsafe.Slice((*byte)(at), length), unsafe.Slice((*byte)(old), oldLength))
	}
	return at
}

// allocate returns memory for eight bytes more than needed at most, aligned to eight.
func (region *region) allocate(bytes uintptr) unsafe.Pointer {
	words := (bytes + 7) / 8
	if region.used+words > uintptr(len(region.current)) {
		if region.current != nil {
			region.full = append(region.full, region.current)
		}
		region.current = make([]uint64, max(words, 2*uintptr(len(region.current)), 8<<10))
		region.used = 0
	}
	at := unsafe.Pointer(unsafe.SliceData(region.current[region.used:]))
	region.used += words
	return at
}

// reset forgets all arguments.
func (region *region) reset() {
	region.used, region.full = 0, nil
	if len(region.current) > keptBytes/8 {
		region.current = nil
	}
}
