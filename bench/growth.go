package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// growth measures the same over several numbers of sessions, and the gate over
// several numbers of users, agents and connections.
func (b *bench) growth(sizes string) error {
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1000 {
			return fmt.Errorf("%q is no number of sessions, from 1000", text)
		}
		if err := b.requests(shapeOf(n), true); err != nil {
			return err
		}
		if err := b.lists(n); err != nil {
			return err
		}
	}
	const n = 100_000
	var errs []error
	for _, many := range []int{10, 1000, n} {
		errs = append(errs, b.gateOver(shape{n, many, 1000}, load{thousands(many) + " users", usual}))
	}
	for _, many := range []int{10, 1000, n} {
		errs = append(errs, b.gateOver(shape{n, 1000, many}, load{thousands(many) + " agents", usual}))
	}
	var loads []load
	for _, many := range []int{1, 8, 128, 1024} {
		loads = append(loads, load{thousands(many) + " connections", many})
	}
	return errors.Join(append(errs, b.gateOver(shapeOf(n), loads...))...)
}

// A load is so many connections, and what to call the case.
type load struct {
	name        string
	connections int
}

// gateOver measures the gate over a shape, and the memory after that.
func (b *bench) gateOver(s shape, loads ...load) error {
	ours, err := b.serve(s)
	if err != nil {
		return err
	}
	defer ours.stop()
	for _, l := range loads {
		if err := b.beside(ours, throughput{name: "gate, " + l.name, spread: s.sessions, request: gate(cookie), connections: l.connections}); err != nil {
			return err
		}
	}
	return b.rest(ours, "memory after "+loads[len(loads)-1].name)
}
