// Package runtime is memory that the two sides of a component's functions share, as the Canonical ABI of the Component Model has it.
package runtime

import (
	"runtime"
	"unsafe"
)

// Allocate gives size bytes, aligned to 8, that stay where they are until pinner is unpinned.
func Allocate(pinner *runtime.Pinner, size, _ uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	memory := unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	pinner.Pin(memory)
	return memory
}

// Unpin lets go of what the other side has been given room for: it is Go's from then on.
func Unpin() {
	received.Unpin()
}

// What the other side wrote, until it is in a Go value.
var received runtime.Pinner

// Whether Go's heap is there.
var started bool

func init() {
	started = true
}

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if !started {
		return reserve(align, size)
	}
	memory := Allocate(&received, size, align)
	if kept := min(oldSize, size); kept > 0 {
		copy(unsafe.Slice((*byte)(memory), kept), unsafe.Slice((*byte)(old), kept))
	}
	return memory
}

// Memory beside the heap, for good: the adapter between Go's WASI 0.1 and WASI 0.2 asks for its own while Go starts.
func reserve(align, size uintptr) unsafe.Pointer {
	memory := sbrk(size + align - 1)
	return unsafe.Add(memory, -uintptr(memory)&(align-1))
}

//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

// Handle is a resource of the other side.
type Handle struct {
	number int32
}

// MakeHandle takes a resource over.
func MakeHandle(number int32) *Handle {
	handle := &Handle{}
	handle.Set(number)
	return handle
}

// Use gives the resource's number, for a call that borrows it.
func (handle *Handle) Use() int32 {
	if handle.number == 0 {
		panic("the resource was dropped or given away")
	}
	return handle.number
}

// Take gives the resource away.
func (handle *Handle) Take() int32 {
	number := handle.Use()
	handle.number = 0
	return number
}

// TakeOrNil gives the resource away, or 0 where it is gone already.
func (handle *Handle) TakeOrNil() int32 {
	number := handle.number
	handle.number = 0
	return number
}

// Set takes a resource over.
func (handle *Handle) Set(number int32) {
	if number == 0 || handle.number != 0 {
		panic("a handle holds one resource")
	}
	handle.number = number
}
