package dbtest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// A code is good once, for its host, its browser and its time, and what it was good for
// ends with the session.
func (on suite) TestAppCodes(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	sess := CreateSession(t, s, ada, "192.0.2.1", Start)
	good := db.AppCode{Hash: []byte("code"), State: []byte("state"), Session: sess.UUID, Host: "app.home.example", Target: "https://app.home.example/x", Created: Start}
	if err := s.CreateCode(t.Context(), good, Start.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateCode(t.Context(), db.AppCode{Hash: []byte("x"), State: []byte("y"), Session: uuid.New(), Host: "a"}, Start); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("of no session: got %v", err)
	}
	with := func(change func(*db.AppCode)) db.AppCode {
		code := good
		change(&code)
		return code
	}
	for name, try := range map[string]struct {
		code    db.AppCode
		expired time.Time
	}{
		"another code":    {with(func(c *db.AppCode) { c.Hash = []byte("other") }), Start.Add(-time.Second)},
		"another browser": {with(func(c *db.AppCode) { c.State = []byte("other") }), Start.Add(-time.Second)},
		"another scheme":  {with(func(c *db.AppCode) { c.Secure = true }), Start.Add(-time.Second)},
		"another host":    {with(func(c *db.AppCode) { c.Host = "wiki.other.example" }), Start.Add(-time.Second)},
		"too late":        {good, Start},
	} {
		if _, _, err := s.RedeemCode(t.Context(), try.code, try.expired, []byte("stolen")); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	var won atomic.Int32
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			got, target, err := s.RedeemCode(t.Context(), good, Start.Add(-time.Second), []byte{byte(i)})
			switch {
			case err == nil && got.UUID == sess.UUID && target == good.Target:
				won.Add(1)
			case !errors.Is(err, db.ErrNotFound):
				t.Errorf("got %+v %q %v", got, target, err)
			}
		})
	}
	if wait.Wait(); won.Load() != 1 {
		t.Errorf("%d of 20 at once got a cookie, want one", won.Load())
	}

	redeem := func(token, host string) {
		t.Helper()
		code := with(func(c *db.AppCode) { c.Host = host })
		if err := s.CreateCode(t.Context(), code, Start.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.RedeemCode(t.Context(), code, Start.Add(-time.Second), []byte(token)); err != nil {
			t.Fatal(err)
		}
	}
	redeem("first", "app.home.example")
	redeem("second", "app.home.example")
	redeem("third", "wiki.other.example")
	if _, err := s.AppSession(t.Context(), []byte("first")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a cookie that a newer one replaced: got %v", err)
	}
	if a, err := s.AppSession(t.Context(), []byte("second")); err != nil || a != (db.AppSession{Session: sess.UUID, Host: "app.home.example", Created: Start}) {
		t.Errorf("got %+v, %v", a, err)
	}
	if all, err := s.AppSessions(t.Context(), sess.UUID); err != nil || len(all) != 2 || all[1].Host != "wiki.other.example" {
		t.Errorf("got %+v, %v", all, err)
	}
	if err := s.EndAppSession(t.Context(), sess.UUID, "wiki.other.example"); err != nil {
		t.Error(err)
	}
	if err := s.EndAppSession(t.Context(), sess.UUID, "wiki.other.example"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("ended twice: got %v", err)
	}
	code := with(func(c *db.AppCode) { c.Hash = []byte("open") })
	if err := s.CreateCode(t.Context(), code, Start.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSession(t.Context(), db.Use{UUID: sess.UUID}, db.Revoked, Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RedeemCode(t.Context(), code, Start.Add(-time.Second), []byte("late")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("after the session's end: got %v", err)
	}
	if a, err := s.AppSession(t.Context(), []byte("second")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("after the session's end: got %+v, %v", a, err)
	}
}
