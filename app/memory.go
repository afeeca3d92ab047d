package app

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// headroom is by how many bytes the heap may grow beyond what lives before it is
// collected.
const headroom = 20 << 20

// CollectOften has the garbage collector let the heap grow by no more than headroom,
// however much lives, until ctx ends: most of that is sessions in memory, which have no
// pointers for the collector to follow, so that it is soon done. Whoever sets GOGC or
// GOMEMLIMIT, as getenv tells, has decided otherwise.
func CollectOften(ctx context.Context, getenv func(string) string) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for last := uint64(100); ctx.Err() == nil; {
		metrics.Read(live)
		percent := max(10, min(headroom*100/max(live[0].Value.Uint64(), 1), 100))
		if percent*10 < last*9 || percent*9 > last*10 {
			debug.SetGCPercent(int(percent))
			last = percent
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
