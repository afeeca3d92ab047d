package dbtest

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

var phone = db.AgentParts{Kind: "phone", Browser: "Safari", OS: "iOS"}

// signInOn makes a session on the device of a token's hash.
func signInOn(t *testing.T, s Store, u db.User, token string, at time.Time, parts db.AgentParts) db.Session {
	t.Helper()
	sess := db.Session{
		UUID: uuid.New(), UserID: u.ID, Agent: &db.Agent{String: parts.Kind + parts.Browser + parts.BrowserMajor, Definitions: "1", AgentParts: parts},
		IP: netip.MustParseAddr("192.0.2.1"), Created: at, LastUsed: at, Ends: at.Add(24 * time.Hour), Expires: at.Add(24 * time.Hour),
	}
	in := db.SignIn{User: u, Session: sess, TokenHash: sess.UUID[:], Network: "192.0.2.1/32", Event: Event(db.Login)}
	if token != "" {
		in.Device = []byte(token)
	}
	sess, err := s.CreateSession(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return sess
}

// deviceOf is that of a session, zero when it has none.
func deviceOf(t *testing.T, s Store, session uuid.UUID) db.Device {
	t.Helper()
	found, err := s.SessionDevices(t.Context(), []uuid.UUID{session, uuid.New()})
	if err != nil || len(found) > 1 {
		t.Fatalf("got %v, %v", found, err)
	}
	return found[session]
}

func (on suite) TestDevices(t *testing.T) {
	s := on.open(t)
	ada, bob := CreateUser(t, s, "ada", true), CreateUser(t, s, "bob", false)
	first := signInOn(t, s, ada, "browser", Start, phone)
	newer := phone
	newer.BrowserMajor = "19"
	again := signInOn(t, s, ada, "browser", Start.Add(time.Hour), newer)
	other := signInOn(t, s, ada, "another", Start.Add(time.Minute), phone)
	others := signInOn(t, s, bob, "browser", Start, phone)
	none := signInOn(t, s, ada, "", Start, phone)

	d := deviceOf(t, s, first.UUID)
	want := db.Device{ID: d.ID, UUID: d.UUID, UserID: ada.ID, Username: "ada", Client: db.Client{Browser: "Safari", OS: "iOS", Kind: "phone"}, Created: Start, LastLogin: Start.Add(time.Hour)}
	if d != want || d.UUID == uuid.Nil {
		t.Errorf("got %+v\nwant %+v", d, want)
	}
	if got := deviceOf(t, s, again.UUID); got != d {
		t.Errorf("signed in again on another device: %+v", got)
	}
	if deviceOf(t, s, other.UUID).UUID == d.UUID || deviceOf(t, s, others.UUID).UUID == d.UUID || deviceOf(t, s, none.UUID) != (db.Device{}) {
		t.Error("a device is another browser's, another account's, or of a session that has none")
	}
	if got, err := s.Device(t.Context(), d.UUID); err != nil || got != d {
		t.Errorf("by its name: got %+v, %v", got, err)
	}
	if all, err := s.Devices(t.Context(), ada.ID); err != nil || len(all) != 2 || all[0] != d {
		t.Errorf("ada's: got %+v, %v; want two, the last signed in on first", all, err)
	}

	if err := s.NameDevice(t.Context(), d.UUID, "Phone", Event(db.ModelUpdated)); err != nil {
		t.Fatal(err)
	}
	third := signInOn(t, s, ada, "browser", Start.Add(2*time.Hour), phone)
	if got := deviceOf(t, s, third.UUID); got.Name != "Phone" {
		t.Errorf("signed in anew it is called %q", got.Name)
	}
	// All of its sessions end, and no other one; history has the device.
	ended, err := s.EndSessionsOn(t.Context(), d.UUID, Start.Add(2*time.Hour), db.Revoked, func(db.Session) db.Event { return Event(db.ModelDeleted) })
	if err != nil || len(ended) != 3 || !slices.Contains(ended, again.UUID) {
		t.Errorf("ended %v, %v; want three", ended, err)
	}
	if e, err := s.EndedSession(t.Context(), first.UUID); err != nil || e.Reason != db.Revoked || deviceOf(t, s, first.UUID).Name != "Phone" {
		t.Errorf("in history: got %+v, %v", e, err)
	}
	for _, sess := range []db.Session{other, others, none} {
		if _, err := s.SessionByUUID(sess.UUID); err != nil {
			t.Errorf("one of another device: %v", err)
		}
	}
	// What expires keeps it, too.
	if _, err := s.ExpireSessions(t.Context(), Start.Add(48*time.Hour), 100); err != nil {
		t.Fatal(err)
	}
	if deviceOf(t, s, other.UUID).UUID == uuid.Nil {
		t.Error("one that expired has no device")
	}
	// Who signed in on it just before it is forgotten is signed out with it.
	late, bobs := signInOn(t, s, ada, "browser", Start.Add(3*time.Hour), phone), signInOn(t, s, bob, "browser", Start.Add(3*time.Hour), phone)
	describe := func(db.Session) db.Event { return Event(db.ModelDeleted) }
	ended, err = s.DeleteDevice(t.Context(), d.UUID, db.Revoked, Event(db.ModelDeleted), describe)
	if err != nil || !slices.Equal(ended, []uuid.UUID{late.UUID}) {
		t.Fatalf("ended %v, %v; want the one", ended, err)
	}
	if e, err := s.EndedSession(t.Context(), late.UUID); err != nil || e.Reason != db.Revoked {
		t.Errorf("the one on it: got %+v, %v", e, err)
	}
	if _, err := s.SessionByUUID(bobs.UUID); err != nil {
		t.Error("another account's in that browser:", err)
	}
	if deviceOf(t, s, first.UUID) != (db.Device{}) {
		t.Error("a session's device is there after it was forgotten")
	}
	for _, err := range []error{
		second(s.Device(t.Context(), d.UUID)),
		s.NameDevice(t.Context(), d.UUID, "x", Event(db.ModelUpdated)),
		second(s.DeleteDevice(t.Context(), d.UUID, db.Revoked, Event(db.ModelDeleted), describe)),
	} {
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("one that is gone: got %v, want db.ErrNotFound", err)
		}
	}
	if err := s.DeleteUser(t.Context(), bob.ID, true, Event(db.ModelDeleted)); err != nil {
		t.Error("delete a user with a device:", err)
	}
}

// A session from before there were devices gets one, once.
func (on suite) TestSetSessionDevice(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	sess := signInOn(t, s, ada, "", Start, phone)
	if err := s.SetSessionDevice(t.Context(), sess.UUID, []byte("browser"), sess.Agent.Client()); err != nil {
		t.Fatal(err)
	}
	d := deviceOf(t, s, sess.UUID)
	if d.Browser != "Safari" || !d.LastLogin.Equal(Start) {
		t.Errorf("got %+v", d)
	}
	for _, id := range []uuid.UUID{sess.UUID, uuid.New()} {
		if err := s.SetSessionDevice(t.Context(), id, []byte("another"), sess.Agent.Client()); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("one that has a device, and one that is none: got %v, want db.ErrNotFound", err)
		}
	}
	if again := signInOn(t, s, ada, "browser", Start, phone); deviceOf(t, s, again.UUID) != d {
		t.Error("its browser is another device at the next sign-in")
	}
}

func (on suite) TestSignInHistory(t *testing.T) {
	s := on.open(t)
	ada, bob := CreateUser(t, s, "ada", true), CreateUser(t, s, "bob", false)
	tv, tablet := db.AgentParts{Kind: "tv", Browser: "Chrome", OS: "webOS"}, db.AgentParts{Kind: "tablet", Browser: "Safari", OS: "iOS"}
	signInOn(t, s, ada, "browser", Start, phone)
	signInOn(t, s, ada, "", Start, tv)
	over := signInOn(t, s, ada, "", Start, tablet)
	if err := s.EndSession(t.Context(), db.Use{UUID: over.UUID}, db.SignedOut, Event(db.Logout)); err != nil {
		t.Fatal(err)
	}
	newer := phone
	newer.BrowserMajor, newer.OSMajor = "99", "99"
	for _, tt := range []struct {
		what  string
		user  db.User
		token string
		parts db.AgentParts
		want  db.SignInHistory
	}{
		{"the device", ada, "browser", phone, db.SignInHistory{Device: true, Client: true, Any: true}},
		{"the device as something else", ada, "browser", db.AgentParts{Kind: "desktop", Browser: "Safari", OS: "iOS"}, db.SignInHistory{Device: true, Any: true}},
		{"a newer version without the cookie", ada, "another", newer, db.SignInHistory{Client: true, Any: true}},
		{"like a living session", ada, "another", tv, db.SignInHistory{Client: true, Any: true}},
		{"like one that ended", ada, "another", tablet, db.SignInHistory{Client: true, Any: true}},
		{"another kind", ada, "another", db.AgentParts{Kind: "phone", Browser: "Chrome", OS: "webOS"}, db.SignInHistory{Any: true}},
		{"somebody else in the browser", bob, "browser", phone, db.SignInHistory{}},
	} {
		a := db.Agent{AgentParts: tt.parts}
		if got, err := s.SignInHistory(t.Context(), tt.user.ID, []byte(tt.token), a.Client()); err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.what, got, err, tt.want)
		}
	}
}

// One more than may be kept takes the place of the one that is missed least.
func (on suite) TestMaxDevices(t *testing.T) {
	s := on.open(t)
	ada, bob := CreateUser(t, s, "ada", true), CreateUser(t, s, "bob", false)
	signInOn(t, s, bob, "his", Start, phone)
	var all []db.Session
	for i := range db.MaxDevices {
		all = append(all, signInOn(t, s, ada, strconv.Itoa(i), Start.Add(time.Duration(i)*time.Second), phone))
	}
	end := func(i int) {
		t.Helper()
		if err := s.EndSession(t.Context(), db.Use{UUID: all[i].UUID}, db.SignedOut, Event(db.Logout)); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) {
		t.Helper()
		if err := s.NameDevice(t.Context(), deviceOf(t, s, all[i].UUID).UUID, "named", Event(db.ModelUpdated)); err != nil {
			t.Fatal(err)
		}
	}
	name(0)
	end(0)
	end(150)
	end(170)
	for i, goes := range []int{150, 170, 1, 2} {
		signInOn(t, s, ada, "more "+strconv.Itoa(i), Start.Add(time.Hour), phone)
		devices, err := s.Devices(t.Context(), ada.ID)
		if err != nil || len(devices) != db.MaxDevices {
			t.Fatalf("got %d, %v, want %d", len(devices), err, db.MaxDevices)
		}
		if d := deviceOf(t, s, all[goes].UUID); d != (db.Device{}) {
			t.Errorf("device %d is there still", goes)
		}
	}
	if deviceOf(t, s, all[0].UUID).Name != "named" {
		t.Error("one with a name has gone before those without")
	}
	if _, err := s.SessionByUUID(all[1].UUID); err != nil {
		t.Error("a session has gone with its device:", err)
	}
	if devices, err := s.Devices(t.Context(), bob.ID); err != nil || len(devices) != 1 {
		t.Errorf("another account's: %v, %v", devices, err)
	}
}

func (on suite) TestPurgeDevices(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	year := Start.Add(-24 * time.Hour)
	for _, tt := range []struct {
		token       string
		at          time.Time
		named, ends bool
		stays       bool
	}{
		{"lives", Start, false, false, true},
		{"in history", Start.Add(-time.Hour), false, true, true},
		{"long over", Start.Add(-23 * time.Hour), false, true, false},
		{"long over with a name", Start.Add(-23 * time.Hour), true, true, true},
		{"a year over with a name", year.Add(-time.Second), true, true, false},
		{"a year old but signed in", year.Add(-time.Second), true, false, true},
	} {
		sess := signInOn(t, s, ada, tt.token, tt.at, phone)
		d := deviceOf(t, s, sess.UUID)
		if tt.named {
			if err := s.NameDevice(t.Context(), d.UUID, tt.token, Event(db.ModelUpdated)); err != nil {
				t.Fatal(err)
			}
		}
		if tt.ends {
			event := Event(db.Logout)
			event.Created = tt.at
			if err := s.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.SignedOut, event); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Purge(t.Context(), Start.Add(-12*time.Hour), Start, year); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Device(t.Context(), d.UUID); (err == nil) != tt.stays {
			t.Errorf("%s: got %v, stays: %v", tt.token, err, tt.stays)
		}
	}
}

// A page's search finds sessions by what their device is called, too.
func (on suite) TestSearchDevices(t *testing.T) {
	s := on.open(t)
	ada, bob := CreateUser(t, s, "ada", true), CreateUser(t, s, "tablet-bob", false)
	call := func(sess db.Session, name string) db.Session {
		t.Helper()
		if err := s.NameDevice(t.Context(), deviceOf(t, s, sess.UUID).UUID, name, Event(db.ModelUpdated)); err != nil {
			t.Fatal(err)
		}
		return sess
	}
	called := map[string]db.Session{
		"kitchen": call(signInOn(t, s, ada, "kitchen", Start, phone), "K\u00dcCHE Tablet"),
		"again":   signInOn(t, s, ada, "kitchen", Start, phone),
		"over":    signInOn(t, s, ada, "kitchen", Start, phone),
		"desk":    call(signInOn(t, s, ada, "desk", Start, phone), "Desk"),
		"agent":   signInOn(t, s, ada, "", Start, db.AgentParts{Kind: "tablet", Browser: "Safari"}),
		"unnamed": signInOn(t, s, ada, "unnamed", Start, phone),
		"bob":     signInOn(t, s, bob, "", Start, phone),
	}
	if err := s.EndSession(t.Context(), db.Use{UUID: called["over"].UUID}, db.SignedOut, Event(db.Logout)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		words string
		want  string
	}{
		{"k\u00fcche", "again kitchen over"},
		{"tablet", "again agent bob kitchen over"},
		{"tablet ada", "again agent kitchen over"},
		{"desk", "desk"},
		{"desk k\u00fcche", ""},
		{"cellar", ""},
		{"desk safari", "desk"},
	} {
		for _, state := range []db.State{db.Living, db.Ended, db.Any} {
			f := db.SessionFilter{State: state, Now: Start, Limit: 100}
			for _, word := range strings.Fields(tt.words) {
				f.Words = append(f.Words, db.Word{Text: word})
			}
			var want, got []string
			for _, name := range strings.Fields(tt.want) {
				if state == db.Any || (name == "over") == (state == db.Ended) {
					want = append(want, name)
				}
			}
			found := map[uuid.UUID]bool{}
			total := 0
			if state == db.Living {
				page, n, err := s.Sessions(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, sess := range page {
					found[sess.UUID] = true
				}
				total = n
			} else {
				page, n, err := s.History(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page {
					found[e.UUID] = true
				}
				total = n
			}
			for name, sess := range called {
				if found[sess.UUID] {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) || total != len(want) {
				t.Errorf("%q, state %d: got %d, %q, want %q", tt.words, state, total, got, want)
			}
		}
		// Whatever only the API searches has no device's name.
		if _, n, err := s.Sessions(t.Context(), db.SessionFilter{Now: Start, Search: []string{"desk"}}); err != nil || n != 0 {
			t.Errorf("the API's search: got %d, %v", n, err)
		}
	}
}
