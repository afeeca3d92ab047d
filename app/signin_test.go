package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/db"

	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/google/uuid"
)

// clocked is an app whose clock the returned function moves.
func clocked(t *testing.T, dir string) (*App, func(time.Duration)) {
	a := openApp(t, dir)
	now := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	a.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	return a, func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
}

func from(ip string) Client { return Client{IP: netip.MustParseAddr(ip), Agent: "curl/8"} }

// oneIn is how many rounds, or rows, of a test there are to one that is made.
var oneIn = 1

func create(t *testing.T, a *App, n NewUser) db.User {
	t.Helper()
	n.Password = "correct horse"
	user, err := a.CreateUser(t.Context(), Operator.Actor(), n)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func signIn(a *App, name, password, ip string) error {
	_, _, err := a.SignIn(context.Background(), Credentials{Username: name, Password: password}, from(ip), nil)
	return err
}

// A flood of wrong passwords from everywhere locks an account only for
// networks that never signed in to it, and is remembered over a restart.
func TestAccountIsLockedForStrangersOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, advance := clocked(t, dir)
	create(t, a, NewUser{Username: "ada"})
	if err := signIn(a, "ada", "correct horse", "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	for i := range loginLimits.Account {
		ip := fmt.Sprintf("198.51.%d.%d", 100+i/200, i%200)
		event := a.event(Actor{Name: "ada"}, db.LoginFailed, 0, nil)
		if err := a.store.LoginFailed(t.Context(), "ada", loginNetwork(netip.MustParseAddr(ip)), event, loginLimits); err != nil {
			t.Fatal(err)
		}
	}
	restarted, _ := clocked(t, dir)
	for name, a := range map[string]*App{"before": a, "after": restarted} {
		var busy *BusyError
		if err := signIn(a, "ada", "correct horse", "203.0.113.5"); !errors.As(err, &busy) || busy.RetryAfter > time.Hour {
			t.Errorf("%s a restart, a stranger: got %v, want a BusyError", name, err)
		}
		if err := signIn(a, "ADA", "correct horse", "192.0.2.1"); err != nil {
			t.Errorf("%s a restart, from where ada signs in: %v", name, err)
		}
	}
	advance(time.Hour)
	if err := signIn(a, "ada", "correct horse", "203.0.113.5"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// As many sign-ins under way as an account bears refuse strangers, but nobody
// where it has been signed in to before.
func TestSignInsUnderWayRefuseStrangersOnly(t *testing.T) {
	t.Parallel()
	a, _ := clocked(t, t.TempDir())
	create(t, a, NewUser{Username: "ada"})
	if err := signIn(a, "ada", "correct horse", "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	for i := range loginLimits.Account {
		_, _, done := a.attempts.begin("ada", loginNetwork(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})), netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), loginLimits)
		defer done()
	}
	var busy *BusyError
	if err := signIn(a, "ada", "correct horse", "203.0.113.5"); !errors.As(err, &busy) {
		t.Errorf("a stranger: got %v, want a BusyError", err)
	}
	if err := signIn(a, "ada", "correct horse", "192.0.2.1"); err != nil {
		t.Errorf("from where ada signs in: %v", err)
	}
}

// Whoever is refused, it took one hash: so how long it took tells nothing
// (CVE-2024-29296, CVE-2026-107269). The medians are for people to look at.
func TestRefusalsTakeOneHash(t *testing.T) {
	t.Parallel()
	a, _ := clocked(t, t.TempDir())
	create(t, a, NewUser{Username: "ada"})
	if err := a.SetUserActive(t.Context(), Operator.Actor(), create(t, a, NewUser{Username: "eve"}), false); err != nil {
		t.Fatal(err)
	}
	hashes := 0
	a.passwords.running = make(chan struct{})
	go func() {
		for range a.passwords.running {
			hashes++
			a.passwords.running <- struct{}{}
		}
	}()
	defer close(a.passwords.running)
	cases := []struct {
		name, username, password string
		took                     []time.Duration
	}{
		{"wrong password", "ada", "wrong", nil},
		{"unknown user", "nobody", "wrong", nil},
		{"disabled user", "eve", "wrong", nil},
		{"disabled user, right password", "eve", "correct horse", nil},
	}
	for i := range 30 / oneIn {
		for j := range cases {
			tt := &cases[j]
			before, start := hashes, time.Now()
			err := signIn(a, tt.username, tt.password, fmt.Sprintf("192.0.2.%d", 4*i+j))
			tt.took = append(tt.took, time.Since(start))
			if got := hashes - before; !errors.Is(err, ErrBadCredentials) || got != 1 {
				t.Fatalf("%s: got %v after %d hashes, want %v after one", tt.name, err, got, ErrBadCredentials)
			}
		}
	}
	for _, tt := range cases {
		slices.Sort(tt.took)
		n := len(tt.took)
		t.Logf("%s: median %v, from %v to %v", tt.name, tt.took[n/2], tt.took[0], tt.took[n-1])
	}
}

// The hash for unknown users is like the others, and no password's.
func TestNoPassword(t *testing.T) {
	t.Parallel()
	hash := noPassword()
	if made, err := hasher.Hash("x"); err != nil || len(made.Encode()) != len(hash) || !strings.HasPrefix(made.Encode(), ours) || !strings.HasPrefix(hash, ours) {
		t.Errorf("got %q, which is unlike %v, %v", hash, made, err)
	}
	if matches, err := readHash(hash); err != nil || matches("") {
		t.Errorf("it is a hash of something: %v", err)
	}
	if hash == noPassword() {
		t.Error("it is the same twice")
	}
}

// IPv6 counts by /64: an attacker has all of its addresses.
func TestLoginNetwork(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
	} {
		if got := loginNetwork(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: got %s, want %s", ip, got, want)
		}
	}
}

// A flood of sign-ins waits in a line of bounded length, and hashes few at once
// (authelia#1044).
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	var done []func()
	for range cap(p.running) {
		d, err := p.turn(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range cap(p.waiting) - cap(p.running) {
		wait.Go(func() {
			if _, err := p.turn(ctx, true); !errors.Is(err, context.Canceled) {
				t.Errorf("a place beyond the bound: %v", err)
			}
		})
	}
	for len(p.waiting) < cap(p.waiting) {
		time.Sleep(time.Millisecond)
	}
	var busy *BusyError
	if _, err := p.turn(ctx, true); !errors.As(err, &busy) {
		t.Errorf("with the line full: got %v, want a BusyError", err)
	}
	cancel()
	wait.Wait()
	for _, d := range done {
		d()
	}
	if len(p.running) != 0 || len(p.waiting) != 0 {
		t.Errorf("left in line: %d and %d", len(p.running), len(p.waiting))
	}
}

// However many strangers are in line, who comes from a network that is known gets in.
func TestStrangersLeaveRoom(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range 300 {
		wait.Go(func() {
			if leave, err := p.turn(ctx, false); err == nil {
				<-ctx.Done()
				leave()
			}
		})
	}
	for len(p.crowd) < cap(p.crowd) {
		time.Sleep(time.Millisecond)
	}
	for range 20 {
		leave, err := p.turn(t.Context(), true)
		if err != nil {
			t.Fatalf("a known one: %v", err)
		}
		leave()
	}
	cancel()
	wait.Wait()
	if len(p.running)+len(p.waiting)+len(p.stranger)+len(p.crowd) != 0 {
		t.Error("places are left taken")
	}
}

// One home's networks of IPv6 do not fill the line for everybody, and each account that
// was signed in to from there gets in all the same.
func TestOneHomeIsNoCrowd(t *testing.T) {
	t.Parallel()
	a, _ := clocked(t, t.TempDir())
	if _, err := a.CreateUser(t.Context(), Operator.Actor(), NewUser{Username: "ada", Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	home := Client{IP: netip.MustParseAddr("2001:db8:0:ff::1")}
	if _, _, err := a.SignIn(t.Context(), Credentials{Username: "ada", Password: "correct horse"}, home, nil); err != nil {
		t.Fatal(err)
	}
	for i := range wideAttempts {
		_, _, done := a.attempts.begin(fmt.Sprint("stranger", i), fmt.Sprint(i), netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 7: byte(i)}), loginLimits)
		defer done()
	}
	var busy *BusyError
	if _, _, err := a.SignIn(t.Context(), Credentials{Username: "ada", Password: "correct horse"}, Client{IP: netip.MustParseAddr("2001:db8:0:aa::1")}, nil); !errors.As(err, &busy) {
		t.Errorf("one more stranger of the home: got %v", err)
	}
	if _, _, err := a.SignIn(t.Context(), Credentials{Username: "ada", Password: "correct horse"}, Client{IP: netip.MustParseAddr("2001:db8:1::1")}, nil); err != nil {
		t.Errorf("another home: %v", err)
	}
	if _, _, err := a.SignIn(t.Context(), Credentials{Username: "ada", Password: "correct horse"}, home, nil); err != nil {
		t.Errorf("from the network that is known: %v", err)
	}
}

func TestWeakHashIsReplaced(t *testing.T) {
	t.Parallel()
	a, _ := clocked(t, t.TempDir())
	h, err := argon2.New(argon2.WithVariantID(), argon2.WithM(512), argon2.WithT(1), argon2.WithP(1))
	if err != nil {
		t.Fatal(err)
	}
	made, err := h.Hash("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	weak := made.Encode()
	_, err = a.store.CreateUser(t.Context(), db.User{UUID: uuid.New(), Username: "ada", PasswordHash: weak, Active: true, Created: a.now()}, false, func(db.User) db.Event { return a.event(Operator.Actor(), db.ModelCreated, 0, nil) })
	if err != nil {
		t.Fatal(err)
	}
	// All her devices at once: each finds the weak hash, and one replaces it.
	var devices sync.WaitGroup
	for range 8 {
		devices.Go(func() {
			if err := signIn(a, "ada", "correct horse", "192.0.2.1"); err != nil {
				t.Error(err)
			}
		})
	}
	devices.Wait()
	if err := signIn(a, "ada", "correct horse", "192.0.2.1"); err != nil {
		t.Error(err)
	}
	user, err := a.UserByName(t.Context(), "ada")
	if err != nil || user.PasswordHash == weak {
		t.Errorf("the weak hash is still there, %v", err)
	}
}

func TestKeysEnd(t *testing.T) {
	t.Parallel()
	a, advance := clocked(t, t.TempDir())
	user := create(t, a, NewUser{Username: "ada"})
	create(t, a, NewUser{Username: "root", Superuser: true})
	key, token, err := a.CreateToken(t.Context(), Operator.Actor(), NewToken{User: user, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	works := func() bool {
		_, err := a.AuthenticateKey(t.Context(), key, from("192.0.2.1"))
		if err != nil && !errors.Is(err, ErrInvalidToken) {
			t.Error(err)
		}
		return err == nil
	}
	if !works() {
		t.Error("a new key is refused")
	}
	if err := a.SetUserActive(t.Context(), Operator.Actor(), user, false); err != nil || works() {
		t.Errorf("the key of a disabled user works: %v", err)
	}
	if err := a.SetUserActive(t.Context(), Operator.Actor(), user, true); err != nil || !works() {
		t.Errorf("the key of an enabled user is refused: %v", err)
	}
	advance(time.Hour)
	if works() {
		t.Error("an expired key works")
	}
	advance(-time.Minute)
	if err := a.DeleteToken(t.Context(), Operator.Actor(), token); err != nil || works() {
		t.Errorf("a deleted key works: %v", err)
	}
}

// The last use of a key is its own, though another has its row's number by then.
func TestLastUseOfKeys(t *testing.T) {
	t.Parallel()
	onlySQLite(t) // PostgreSQL gives no number anew
	a, _ := clocked(t, t.TempDir())
	ada, otto := create(t, a, NewUser{Username: "ada"}), create(t, a, NewUser{Username: "otto"})
	make := func(user db.User) (string, db.Token) {
		key, token, err := a.CreateToken(t.Context(), Operator.Actor(), NewToken{User: user, Identifier: "k"})
		if err != nil {
			t.Fatal(err)
		}
		return key, token
	}
	lastUse := func(user db.User) time.Time {
		tokens, _, err := a.Tokens(t.Context(), Operator, db.TokenFilter{User: user.ID, Limit: 10})
		if err != nil || len(tokens) != 1 {
			t.Fatalf("got %d keys, %v", len(tokens), err)
		}
		return tokens[0].LastUsed
	}
	use := func(key string) {
		if _, err := a.AuthenticateKey(t.Context(), key, from("192.0.2.1")); err != nil {
			t.Fatal(err)
		}
	}
	first, token := make(ada)
	use(first) // noted, and not written yet
	if err := a.DeleteToken(t.Context(), Operator.Actor(), token); err != nil {
		t.Fatal(err)
	}
	second, again := make(otto)
	if token.ID != again.ID {
		t.Fatalf("numbers %d and %d: nothing is tried here", token.ID, again.ID)
	}
	if used := lastUse(otto); !used.IsZero() {
		t.Errorf("a key that nobody used was used %s", used)
	}
	use(second)
	if used := lastUse(otto); !used.Equal(a.now()) {
		t.Errorf("got %s, want now", used)
	}
	if err := a.store.DeleteToken(t.Context(), token.UUID, db.Event{}); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("deleting one that is gone: %v", err)
	}
}

// Newer definitions show at once, and replace what is stored.
func TestDefinitionsAreReplaced(t *testing.T) {
	t.Parallel()
	a, _ := clocked(t, t.TempDir())
	user := create(t, a, NewUser{Username: "ada", Superuser: true})
	_, id := insertSession(t, a, user)
	old := &db.Agent{String: "curl/8", Definitions: "old", AgentParts: db.AgentParts{Browser: "Something else"}}
	if err := a.store.StoreAgents(t.Context(), []*db.Agent{old}); err != nil {
		t.Fatal(err)
	}
	if sess, err := a.Session(t.Context(), Operator, id); err != nil || sess.Agent.Browser != "curl" {
		t.Errorf("shown: %q, %v", sess.Agent.Browser, err)
	}
	a.reparseAgents(t.Context())
	stored, err := a.store.SessionByUUID(id)
	if err != nil {
		t.Fatal(err)
	}
	if agent, err := a.store.Agent(t.Context(), stored.AgentID); err != nil || agent.Browser != "curl" || agent.Definitions != a.agents.Version() {
		t.Errorf("stored: %+v, %v", agent, err)
	}
}

// Who reads of a new user in the events finds them by the pk.
func TestEventOfANewUser(t *testing.T) {
	t.Parallel()
	a := openApp(t, t.TempDir())
	ada := create(t, a, NewUser{Username: "ada"})
	events, _, err := a.store.Events(t.Context(), db.EventFilter{Limit: 1})
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	model, _ := events[0].Context["model"].(map[string]any)
	if events[0].SubjectID != ada.ID || fmt.Sprint(model["pk"]) != fmt.Sprint(ada.ID) {
		t.Errorf("got %+v, want pk %d", events[0], ada.ID)
	}
}

// A password that was reset stays, though its user's own change was verified before.
func TestResetBesideAChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := openApp(t, dir)
	there := openApp(t, dir)
	user := create(t, a, NewUser{Username: "ada"})
	token, _ := insertSession(t, a, user)
	caller, err := a.Authenticate(t.Context(), []string{token}, from("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	// It is verified and hashed, and about to be written, when it asks for the time again.
	asked := 0
	a.Now = func() time.Time {
		if asked++; asked == 2 {
			if err := there.SetPassword(t.Context(), Operator.Actor(), user, NewPassword{Password: "reset by the admin"}); err != nil {
				t.Error(err)
			}
		}
		return time.Now()
	}
	err = a.ChangePassword(t.Context(), caller, from("192.0.2.1"), "correct horse", "the thief's own")
	found, _, failed := there.Accounts(t.Context(), Operator, db.UserFilter{ID: user.ID, Limit: 1})
	if failed != nil || found[0].Failures.Count != 0 || asked < 2 {
		t.Fatalf("%v, %v, clock read %d times: this tests nothing", found, failed, asked)
	}
	var input *db.InputError
	if !errors.As(err, &input) {
		t.Errorf("the change: got %v, want a db.InputError", err)
	}
	if err := signIn(a, "ada", "reset by the admin", "192.0.2.9"); err != nil {
		t.Errorf("the reset password: %v", err)
	}
	if err := signIn(a, "ada", "the thief's own", "192.0.2.9"); err == nil {
		t.Error("the thief's password signs in after the reset was answered")
	}
}

// Wrong passwords from while the clock was ahead lock nobody out until then.
func TestFailuresFromTheFuture(t *testing.T) {
	t.Parallel()
	a, advance := clocked(t, t.TempDir())
	create(t, a, NewUser{Username: "ada"})
	advance(365 * 24 * time.Hour)
	for range 10 {
		_ = signIn(a, "ada", "wrong", "192.0.2.1")
	}
	advance(-365 * 24 * time.Hour) // NTP put it right
	advance(2 * time.Hour)
	if err := signIn(a, "ada", "correct horse", "192.0.2.1"); err != nil {
		t.Errorf("two hours later, with the right password: %v", err)
	}
}

// What no page can send is no password, and what no address can hold names no key.
func TestOddSecrets(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"one line\nand another", "a NUL\x00 byte here", "\xff\xfe is no text", "tab\tulator"} {
		if err := db.CheckPassword(password); err == nil {
			t.Errorf("%q is taken for a password", password)
		}
	}
	a := openApp(t, t.TempDir())
	user := create(t, a, NewUser{Username: "ada"})
	for identifier, ok := range map[string]bool{".": false, "..": false, "a/b": false, ".a": true, "laptop": true} {
		if _, _, err := a.CreateToken(t.Context(), Operator.Actor(), NewToken{User: user, Identifier: identifier}); (err == nil) != ok {
			t.Errorf("identifier %q: got %v", identifier, err)
		}
	}
}
