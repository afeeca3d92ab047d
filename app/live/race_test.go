//go:build race

package live

// The detector sees in a few what it sees in many, and they take ten times as long.
func init() { oneIn = 10 }
