//go:build race

package useragent

// Under the race detector plain uap-go takes six minutes for all of uap-core's headers.
func init() { comparedOneIn = 25 }
