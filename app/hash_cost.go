//go:build !race

package app

// Our hashes cost about 60 ms and 19 MiB on a small machine: the lower of the settings
// that OWASP's password storage cheat sheet counts as equal.
const hashMemory, hashTime, hashLanes = 19 * 1024 /* KiB */, 2, 1
