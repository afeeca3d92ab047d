//go:build !unix

package sqlite

func giveTo(_, _ string) error { return nil }
