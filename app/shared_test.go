package app

import (
	"errors"
	"net/netip"
	"testing"

	"lastseen/db"
	"lastseen/db/pgtest"
	"lastseen/db/postgres"
)

// onPostgres is an app on a database, as each machine has one, and another one through a relay.
func onPostgres(t *testing.T, settings func(*App)) (here, relayed *App, relay *pgtest.Relay) {
	t.Helper()
	url := emptyPostgres.New(t)
	relay = pgtest.NewRelay(t, url)
	on := func(url string) *App {
		store, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		a := openApp(t, t.TempDir())
		config := a.Config
		config.Database = url
		a = New(store, a.geo, a.agents, config, a.Log)
		settings(a)
		return a
	}
	return on(url), on(relay.URL), relay
}

// Whatever a request is answered by, all that decides is asked, and in one round trip.
func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	here, a, relay := onPostgres(t, func(a *App) {
		a.Config.Apps = []string{"app.home.example", "*.shared.example"}
		a.Config.CookieDomain = "shared.example"
	})
	ada := create(t, here, NewUser{Username: "ada", Groups: []string{"family"}, Superuser: true})
	if _, err := here.AllowGroups(t.Context(), Operator.Actor(), "*.shared.example", []string{"family"}); err != nil {
		t.Fatal(err)
	}
	token, id := insertSession(t, here, ada)
	key, _, err := here.CreateToken(t.Context(), Operator.Actor(), NewToken{User: ada})
	if err != nil {
		t.Fatal(err)
	}
	secret, state := NewState()
	client := Client{IP: netip.MustParseAddr("192.0.2.1"), Agent: "curl/8"}
	code, err := here.GrantCode(t.Context(), id, "app.home.example", state, "https://app.home.example/")
	if err != nil {
		t.Fatal(err)
	}
	appToken, _, _, err := here.RedeemCode(t.Context(), "app.home.example", code, secret, true, client)
	if err != nil {
		t.Fatal(err)
	}
	authorize := func(r ForwardRequest) func() error {
		return func() error {
			r.Client = client
			d, err := a.Authorize(t.Context(), r)
			if err == nil && d.Verdict != Allow {
				err = d.Why
			}
			return err
		}
	}
	for name, ask := range map[string]func() error{
		"the gate, by cookie":            authorize(ForwardRequest{Host: "wiki.shared.example", Path: "/", Tokens: []string{token}}),
		"the gate, of several cookies":   authorize(ForwardRequest{Host: "wiki.shared.example", Path: "/", Tokens: []string{"another", "one more", token}}),
		"the gate, by no cookie of ours": authorize(ForwardRequest{Host: "wiki.shared.example", Path: "/", Tokens: []string{"another"}}),
		"the gate, by an app's cookie":   authorize(ForwardRequest{Host: "app.home.example", Path: "/", Tokens: []string{appToken}}),
		"the gate, by key":               authorize(ForwardRequest{Host: "wiki.shared.example", Path: "/", Keys: []ForwardKey{{Key: key}}}),
		"the gate, by key or by cookie":  authorize(ForwardRequest{Host: "wiki.shared.example", Path: "/", Tokens: []string{token}, Keys: []ForwardKey{{Key: key}}}),
		"a session, by key": func() error {
			ctx := a.ExpectSession(t.Context(), id.String())
			caller, err := a.AuthenticateKey(ctx, key, client)
			if err == nil {
				_, err = a.Session(ctx, caller, id)
			}
			return err
		},
		"a session, by cookie": func() error {
			ctx := a.ExpectSession(t.Context(), id.String())
			caller, err := a.Authenticate(ctx, []string{token}, client)
			if err == nil {
				_, err = a.Session(ctx, caller, id)
			}
			return err
		},
	} {
		for range 2 { // statements are prepared, rules and agents read
			if err := ask(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		fewest := int64(100) // the store looks every two seconds whether the database is there
		for range 3 {
			before := relay.RoundTrips()
			if err := ask(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			fewest = min(fewest, relay.RoundTrips()-before)
		}
		if fewest != 1 {
			t.Errorf("%s: %d round trips", name, fewest)
		}
	}
	// What another machine changes shows in the next request.
	gate := authorize(ForwardRequest{Host: "wiki.shared.example", Path: "/", Tokens: []string{token}})
	byKey := authorize(ForwardRequest{Host: "wiki.shared.example", Path: "/", Keys: []ForwardKey{{Key: key}}})
	rules, err := here.Rules(t.Context())
	if err != nil || len(rules) != 1 {
		t.Fatal(rules, err)
	}
	for _, tt := range []struct {
		name   string
		change func() error
		passes bool
	}{
		{"no member", func() error { return here.RemoveFromGroup(t.Context(), Operator.Actor(), ada, "family") }, false},
		{"a member", func() error { return here.AddToGroup(t.Context(), Operator.Actor(), ada, "family") }, true},
		{"another rule", func() error {
			_, err := here.AllowGroups(t.Context(), Operator.Actor(), "wiki.shared.example", []string{"work"})
			return err
		}, false},
	} {
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		if passes := gate() == nil && byKey() == nil; passes != tt.passes {
			t.Errorf("%s: passes %v, want %v", tt.name, passes, tt.passes)
		}
	}
	if err := here.RevokeSession(t.Context(), Operator, id); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{token, appToken} {
		for _, host := range []string{"wiki.shared.example", "app.home.example"} {
			if d, err := a.Authorize(t.Context(), ForwardRequest{Host: host, Path: "/", Tokens: []string{token}, Client: client}); err != nil || d.Verdict != Login {
				t.Errorf("after the session's end: %v, %v", d, err)
			}
		}
	}
}

// A use that was noted is written, and shown on the other machine; while the database is
// gone nothing passes, and nothing is led to the sign-in.
func TestUsesOfTwoMachines(t *testing.T) {
	t.Parallel()
	here, a, relay := onPostgres(t, func(*App) {})
	ada := create(t, here, NewUser{Username: "ada"})
	token, id := insertSession(t, here, ada)
	client := Client{IP: netip.MustParseAddr("198.51.100.7"), Agent: "Mozilla/5.0"}
	if _, err := a.Authenticate(t.Context(), []string{token}, client); err != nil {
		t.Fatal(err)
	}
	if sess, err := a.Session(t.Context(), Operator, id); err != nil || sess.IP != client.IP {
		t.Errorf("where it was used: %v, %v", sess.IP, err)
	}
	if err := a.live.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sess, err := here.Session(t.Context(), Operator, id); err != nil || sess.IP != client.IP || sess.Agent.String != client.Agent {
		t.Errorf("on the other machine: %v, %v, %v", sess.IP, sess.Agent, err)
	}
	relay.Freeze()
	for range 2 {
		if _, err := a.Authenticate(t.Context(), []string{token}, client); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("without a database: %v", err)
		}
	}
	if err := a.Reachable(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("without a database: %v", err)
	}
}
