package app

import (
	"fmt"
	"syscall"
)

// networkFileSystems are those that SQLite's locks do not work on, by the magic
// numbers of statfs(2).
var networkFileSystems = map[int64]string{
	0x6969:     "NFS",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB",
	0x517b:     "SMB",
	0x65735546: "FUSE",
	0x01021997: "9P",
	0x5346414f: "AFS",
	0x00c36400: "Ceph",
}

// fileSystem describes what a directory is on, and whether that is a network.
func fileSystem(dir string) (kind string, network bool) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return "", false
	}
	name, network := networkFileSystems[int64(uint32(stat.Type))]
	free := float64(stat.Bavail) * float64(stat.Bsize) / 1e9
	if network {
		name = ", on " + name
	}
	return name + ", " + fmt.Sprintf("%.1f GB free", free), network
}
