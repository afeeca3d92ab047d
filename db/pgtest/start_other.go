//go:build !linux

package pgtest

import "errors"

func start() (*postgres, error) { return nil, errors.New("the tests start it on Linux alone") }
