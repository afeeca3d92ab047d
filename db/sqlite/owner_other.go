//go:build !unix

package sqlite

func GiveTo(_, _ string) error { return nil }
