package main

import (
	"fmt"
	"strconv"
	"strings"
)

// growth measures the same over several numbers of sessions, and the gate with
// several numbers of connections.
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
	return b.callers(100_000)
}

// callers measures the gate over n sessions with few and many connections.
func (b *bench) callers(n int) error {
	ours, err := b.serve(n)
	if err != nil {
		return err
	}
	defer ours.stop()
	for _, connections := range []int{1, 8, 128, 1024} {
		if err := b.beside(ours, throughput{fmt.Sprintf("gate, %d connections", connections), n, gate(cookie), false, connections}, n); err != nil {
			return err
		}
	}
	return b.rest(ours, "memory after that load")
}
