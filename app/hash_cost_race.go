//go:build race

package app

// The tests make hundreds of hashes, which took a third of their time. A build with the
// race detector is for them alone, and one hash is like another there.
const hashMemory, hashTime, hashLanes = 1024 /* KiB */, 1, 1
