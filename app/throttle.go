package app

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"lastseen/db"
)

// loginLimits are how many wrong passwords are allowed.
var loginLimits = db.LoginLimits{
	Pair: 10, Network: 50, Window: 15 * time.Minute,
	Account: 100, Lock: time.Hour,
}

// wideAttempts is how many sign-ins of one /48 of IPv6 may be under way at once: a home
// has as many networks there as it likes, and must not fill the line for everybody.
const wideAttempts = 16

// attempts are the sign-ins under way. They count as failures until they are
// known not to be, so that many at once get no further than one after another.
type attempts struct {
	mu                sync.Mutex
	pair              map[[2]string]int
	network, username map[string]int
	wide              map[netip.Prefix]int
}

// An attemptCounter is a Store that counts the attempts under way on all machines, since
// each knows of its own alone.
type attemptCounter interface {
	BeginAttempt(ctx context.Context, username, network string, now time.Time) (attempt int64, before db.Attempts, err error)
	EndAttempt(ctx context.Context, attempt int64) error
}

// begin counts an attempt and lowers the limits by those under way. It is crowded when
// too many of a wider network are.
func (t *attempts) begin(username, network string, ip netip.Addr, limits db.LoginLimits) (lowered db.LoginLimits, crowded bool, done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pair == nil {
		t.pair, t.network, t.username = map[[2]string]int{}, map[string]int{}, map[string]int{}
		t.wide = map[netip.Prefix]int{}
	}
	pair := [2]string{username, network}
	limits.Pair -= t.pair[pair]
	limits.Network -= t.network[network]
	limits.Account -= t.username[username]
	wide := wideNetwork(ip)
	crowded = ip.Is6() && t.wide[wide] >= wideAttempts
	t.wide[wide]++
	t.pair[pair]++
	t.network[network]++
	t.username[username]++
	return limits, crowded, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		decrement(t.pair, pair)
		decrement(t.network, network)
		decrement(t.username, username)
		decrement(t.wide, wide)
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

// wideNetwork is what one home may hold of IPv6, a /48; of IPv4 it holds an address.
func wideNetwork(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip.Is6() {
		bits = 48
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}
