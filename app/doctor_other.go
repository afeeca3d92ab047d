//go:build !linux

package app

// fileSystem is known on Linux only.
func fileSystem(string) (kind string, network bool) { return "", false }
