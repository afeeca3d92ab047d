package main

import (
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// peer measures retrieve beside a PocketBase that has as many records: one by
// its name, which its owner alone may read, with the request log off.
func (b *bench) peer(binary string, n int) error {
	b.say("beside PocketBase, %s sessions", thousands(n))
	dir := filepath.Join(b.work, "peer")
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	token, err := exec.CommandContext(b.ctx, binary, "fill", dir, fmt.Sprint(n)).Output()
	if err != nil {
		return fmt.Errorf("fill %s: %w", binary, err)
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	theirs, err := start(b.ctx, address, "/api/health", binary, "serve", "--dir", dir, "--http", address)
	if err != nil {
		return err
	}
	defer theirs.stop()
	ours, err := b.serve(shapeOf(n))
	if err != nil {
		return err
	}
	defer ours.stop()
	theirs.data = ours.data
	record := get("/api/collections/sessions/records/{record}", "Authorization: "+strings.TrimSpace(string(token)))
	session := get(apiPath+"{uuid}/", "Authorization: Bearer "+b.key)
	var us, them []figures
	for round := range b.rounds + 1 { // the first warms up
		s, err := saturate(b.ctx, ours, throughput{request: session, spread: n, connections: usual}, false, b.duration)
		if err != nil {
			return err
		}
		p, err := saturate(b.ctx, theirs, throughput{request: record, spread: n, connections: usual}, false, b.duration)
		if err != nil {
			return err
		}
		if round > 0 {
			us, them = append(us, s), append(them, p)
		}
	}
	b.report.Peer = &peerRow{Sessions: n, Ours: median(us), Theirs: median(them)}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/pocketbase/pocketbase" {
			b.report.Peer.Version = dep.Version
		}
	}
	return nil
}
