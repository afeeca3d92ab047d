//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// GiveTo makes who has the directory, or the file, like that of a file, as far as this
// process may: only root has to. No link is followed: another may have put it there.
func GiveTo(file, like string) error {
	info, err := os.Stat(like)
	if err != nil || os.Getuid() != 0 {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return os.Lchown(file, int(owner.Uid), int(owner.Gid))
}
