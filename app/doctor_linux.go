package app

import (
	"fmt"
	"syscall"
)

// networkFileSystems are those that SQLite's locks do not work on for certain, by
// the magic numbers of statfs(2). Behind FUSE there may be anything.
var networkFileSystems = map[uint32]string{
	0x6969:     "NFS",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB",
	0x517b:     "SMB",
	0x65735546: "FUSE",
	0x01021997: "9P",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x73757245: "Coda",
	0x564c:     "NCP",
	0x00c36400: "Ceph",
	0x0bd00bd0: "Lustre",
	0x19830326: "BeeGFS",
	0x7461636f: "OCFS2",
	0x01161970: "GFS2",
	0x786f4256: "a VirtualBox shared folder",
	0xbacbacbc: "a VMware shared folder",
	0x7c7c6673: "a Parallels shared folder",
}

// fileSystem describes what a directory is on, and whether that is a network.
func fileSystem(dir string) (kind string, network bool) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return "", false
	}
	name, network := networkFileSystems[uint32(stat.Type)]
	free := float64(stat.Bavail) * float64(stat.Bsize) / 1e9
	if network {
		name = ", on " + name
	}
	return name + ", " + fmt.Sprintf("%.1f GB free", free), network
}
