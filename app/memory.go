package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// headroom is by how many bytes the heap may grow beyond what lives before it is
// collected. A share of so little as lives here would be nothing, and the collector
// would run all the time; and of much it would be much.
const headroom = 8 << 20

// leastHeap is what the runtime lets the heap grow to at GOGC=100, and in proportion at
// any other, however little lives.
const leastHeap = 4 << 20

// CollectOften gives the heap its headroom until ctx ends, and gives back to the system
// what has become free whenever nothing much goes on: after sign-ins, exports, searches,
// a flood. GOMEMLIMIT is the runtime's to keep, and whoever sets GOGC, as getenv tells, has
// decided otherwise.
func CollectOften(ctx context.Context, getenv func(string) string) {
	if getenv("GOGC") != "" {
		return
	}
	paceCollector(ctx)
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var last, freed uint64
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(allocated)
		now := allocated[0].Value.Uint64()
		if now-last < headroom/8 && now-freed > headroom/8 {
			debug.FreeOSMemory()
			metrics.Read(allocated)
			now = allocated[0].Value.Uint64()
			freed = now
		}
		last = now
	}
}

// paceCollector sets the collector's percentage, now and at the end of each of its
// cycles: what lives may have become ten times as much by then.
func paceCollector(ctx context.Context) {
	last := 100
	var pace func(int)
	pace = func(int) {
		if ctx.Err() != nil {
			return
		}
		if percent := collectAt(); percent*10 < last*9 || percent*9 > last*10 {
			debug.SetGCPercent(percent)
			last = percent
		}
		runtime.AddCleanup(new([64]byte), pace, 0) // garbage, which the next cycle finds
	}
	pace(0)
}

// collectAt is the percentage of what the last cycle went through at which the heap has
// grown by the headroom.
func collectAt() int {
	seen := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(seen)
	live := seen[0].Value.Uint64()
	roots := seen[1].Value.Uint64() + seen[2].Value.Uint64()
	return int(max(10, min(headroom*100/max(live+roots, 1), (live+headroom)*100/leastHeap)))
}
