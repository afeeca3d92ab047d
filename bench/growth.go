package main

import (
	"fmt"
	"strconv"
	"strings"
)

// growth measures the same over several numbers of sessions.
func (b *bench) growth(sizes string) error {
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1000 {
			return fmt.Errorf("%q is no number of sessions, from 1000", text)
		}
		if err := b.requests(n, true); err != nil {
			return err
		}
		if err := b.lists(n); err != nil {
			return err
		}
	}
	return nil
}
