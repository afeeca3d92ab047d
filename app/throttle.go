package app

import (
	"net/netip"
	"sync"
	"time"

	"lastseen/db"
)

// loginLimits are how many wrong passwords are borne.
var loginLimits = db.LoginLimits{
	Pair: 10, Network: 50, Window: 15 * time.Minute,
	Account: 100, Lock: time.Hour,
}

// attempts are the sign-ins under way. They count as failures until they are
// known not to be, so that many at once get no further than one after another.
type attempts struct {
	mu                sync.Mutex
	pair              map[[2]string]int
	network, username map[string]int
}

// begin counts an attempt and lowers the limits by those under way.
func (t *attempts) begin(username, network string, limits db.LoginLimits) (db.LoginLimits, func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pair == nil {
		t.pair, t.network, t.username = map[[2]string]int{}, map[string]int{}, map[string]int{}
	}
	pair := [2]string{username, network}
	limits.Pair -= t.pair[pair]
	limits.Network -= t.network[network]
	limits.Account -= t.username[username]
	t.pair[pair]++
	t.network[network]++
	t.username[username]++
	return limits, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		decrement(t.pair, pair)
		decrement(t.network, network)
		decrement(t.username, username)
	}
}

func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// loginNetwork is the network that failures are counted for: a /32 or a /64.
func loginNetwork(ip netip.Addr) string {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}
