//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// GiveTo makes the owner of a directory that of a file, as far as this process
// may: only root has to.
func GiveTo(file, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Getuid() != 0 {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return os.Chown(file, int(owner.Uid), int(owner.Gid))
}
