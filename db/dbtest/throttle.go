package dbtest

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// A limit that attempts under way have reached refuses without a failure.
func (on suite) TestLoginBlockedByAttemptsUnderWay(t *testing.T) {
	s := on.open(t)
	for _, l := range []db.LoginLimits{
		{Pair: 0, Network: 1, Account: 1}, {Pair: 1, Network: -1, Account: 1}, {Pair: 1, Network: 1, Account: 0},
	} {
		l.Window, l.Lock = time.Minute, time.Hour
		if until, _, err := s.LoginBlockedUntil(t.Context(), "ada", "n1", Start, l); err != nil || !until.After(Start) {
			t.Errorf("%+v: got %v, %v, want later", l, until, err)
		}
	}
}

func (on suite) TestLoginBlockedUntil(t *testing.T) {
	limits := db.LoginLimits{Pair: 3, Network: 5, Window: 15 * time.Minute, Account: 6, Lock: time.Hour}
	type failure struct {
		user, network string
		at            time.Duration
	}
	repeat := func(n int, f failure) []failure { return slices.Repeat([]failure{f}, n) }
	for _, tt := range []struct {
		name     string
		failures []failure
		want     time.Duration // from start; 0 is not blocked
	}{
		{"none", nil, 0},
		{"two", repeat(2, failure{"ada", "n1", 0}), 0},
		{"three", repeat(3, failure{"ada", "n1", 0}), 15 * time.Minute},
		{"the third-newest must leave", append(repeat(1, failure{"ada", "n1", 0}), repeat(3, failure{"ada", "n1", time.Minute})...), 16 * time.Minute},
		{"of others elsewhere", repeat(9, failure{"bob", "n2", 0}), 0},
		{"of others from here", repeat(5, failure{"bob", "n1", 0}), 15 * time.Minute},
		{"of ada elsewhere", repeat(5, failure{"ada", "n2", 0}), 0},
		{"a flood at ada", repeat(6, failure{"ada", "n2", 0}), time.Hour},
		{"long ago", repeat(3, failure{"ada", "n1", -time.Hour}), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := on.open(t)
			ada := CreateUser(t, s, "ada", true)
			for _, f := range tt.failures {
				e := Event(db.LoginFailed)
				e.Created = Start.Add(f.at)
				if err := s.LoginFailed(t.Context(), f.user, f.network, e, db.LoginLimits{}); err != nil {
					t.Fatal(err)
				}
			}
			until, _, err := s.LoginBlockedUntil(t.Context(), "ada", "n1", Start.Add(2*time.Minute), limits)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == 0 && !until.IsZero() || tt.want != 0 && !until.Equal(Start.Add(tt.want)) {
				t.Errorf("got %v, want Start + %v", until, tt.want)
			}
			if !strings.HasPrefix(tt.name, "a flood") {
				return
			}
			// Where ada has signed in before, the flood locks nothing.
			sess := db.Session{UUID: uuid.New(), Agent: Agent("x"), IP: netip.MustParseAddr("192.0.2.1"), Created: Start, LastUsed: Start, Ends: Start.Add(1), Expires: Start.Add(1)}
			if _, err := s.CreateSession(t.Context(), db.SignIn{User: ada, Session: sess, TokenHash: []byte("h"), Network: "n1", Event: Event(db.Login)}); err != nil {
				t.Fatal(err)
			}
			if until, _, err := s.LoginBlockedUntil(t.Context(), "ada", "n1", Start.Add(2*time.Minute), limits); err != nil || !until.IsZero() {
				t.Errorf("from a known network: got %v, %v, want not blocked", until, err)
			}
			// Nor do attempts under way, which lower the limit.
			lowered := limits
			lowered.Account = -5
			if until, _, err := s.LoginBlockedUntil(t.Context(), "ada", "n1", Start.Add(2*time.Minute), lowered); err != nil || !until.IsZero() {
				t.Errorf("from a known network, with many under way: got %v, %v, want not blocked", until, err)
			}
		})
	}
}
