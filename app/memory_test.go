package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The heap has its headroom while CollectOften runs, however little or much lives; who
// sets GOGC keeps what they set.
func TestHeadroom(t *testing.T) {
	t.Parallel()
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	CollectOften(ctx, func(name string) string { return map[string]string{"GOGC": "70"}[name] })
	if got := percent(); got != 100 {
		t.Errorf("with GOGC it is %d", got)
	}
	ended := make(chan struct{})
	go func() {
		CollectOften(ctx, func(string) string { return "" })
		close(ended)
	}()
	for _, tt := range []struct {
		lives int
		fits  func(percent int) bool
	}{
		{64 << 20, func(p int) bool { return p < 20 }},
		{0, func(p int) bool { return p > 30 }},
		{64 << 20, func(p int) bool { return p < 20 }},
	} {
		lives := make([]byte, tt.lives)
		for range 100 { // it is set soon after a cycle's end
			if runtime.GC(); tt.fits(percent()) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got := percent(); !tt.fits(got) {
			t.Errorf("while %d bytes live: %d%%", tt.lives, got)
		}
		runtime.KeepAlive(lives)
	}
	stop()
	<-ended
}
