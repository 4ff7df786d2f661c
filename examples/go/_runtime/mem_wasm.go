// In place of Go's own file of this name, see README.md: Go takes the memory that it asked for to begin where its last piece
// ended. In a component that is not so: the adapter between Go's WASI 0.1 and WASI 0.2 asks for pages of the same memory, and
// Go would hand out the adapter's pages as its own.

package runtime

import "unsafe"

func sbrk(n uintptr) unsafe.Pointer {
	n = memRound(n)
	if end := uintptr(currentMemory()) * physPageSize; end != blocMax {
		bloc, blocMax = end, end
	}
	if bloc+n > blocMax {
		if growMemory(int32((bloc+n-blocMax)/physPageSize)) < 0 {
			return nil
		}
		blocMax = bloc + n
	}
	start := bloc
	bloc += n
	return unsafe.Pointer(start)
}

// Both in Go's sys_wasm.s, in pages.
func growMemory(pages int32) int32
func currentMemory() int32
