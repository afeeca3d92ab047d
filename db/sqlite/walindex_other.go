//go:build !unix

package sqlite

import (
	"errors"
	"os"
)

// A walIndex is the header of the -shm file, read anew each time.
type walIndex struct{ file *os.File }

// isCut is false: nothing is mapped.
func (w *walIndex) isCut() bool { return false }

func (w *walIndex) open(path string) (err error) {
	w.file, err = os.Open(path)
	return err
}

func (w *walIndex) close() error {
	if w.file == nil {
		return nil
	}
	if err := w.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil // closed twice, as sql.DB may be
}

func (w *walIndex) header() (h walHeader, ok bool) {
	n, err := w.file.ReadAt(h[:], 0)
	return h, err == nil && n == len(h)
}
