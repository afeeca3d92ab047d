//go:build unix

package sqlite

import (
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
)

// A walIndex is the header of the -shm file, mapped.
type walIndex struct {
	file   *os.File // stays open: closing it drops the locks that SQLite holds on it
	mapped atomic.Pointer[walHeader]
	cut    atomic.Bool // the file was cut short
}

func (w *walIndex) isCut() bool { return w.cut.Load() }

func (w *walIndex) open(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	w.file = file
	pages, err := syscall.Mmap(int(file.Fd()), 0, len(walHeader{}), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	w.mapped.Store((*walHeader)(pages)) // for good: a reader may be at it when the store closes
	return nil
}

func (w *walIndex) close() error {
	if w.file == nil || w.mapped.Swap(nil) == nil {
		return nil
	}
	return w.file.Close()
}

// header is how it is now. It may be torn by a commit under way, and is then
// like no header that was known. A file that was cut short faults: that is noted instead
// of ending the process.
func (w *walIndex) header() (h walHeader, ok bool) {
	mapped := w.mapped.Load()
	if mapped == nil {
		return h, false
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			w.cut.Store(true)
			h, ok = walHeader{}, false
		}
	}()
	return *mapped, true
}
