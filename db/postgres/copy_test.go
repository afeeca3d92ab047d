package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/db/dbtest"
	"lastseen/db/sqlite"

	"github.com/google/uuid"
)

// dumped is all that a store hands over, in lines.
func dumped(t *testing.T, s interface {
	Dump(ctx context.Context, each func(db.Table) error) error
}) (lines []string, columns map[string][]string) {
	t.Helper()
	columns = map[string][]string{}
	err := s.Dump(t.Context(), func(table db.Table) error {
		columns[table.Name] = slices.Sorted(slices.Values(table.Columns))
		for row, err := range table.Rows {
			if err != nil {
				return err
			}
			var fields []string
			for i, name := range table.Columns {
				fields = append(fields, fmt.Sprintf("%s=%v", name, row[i]))
			}
			slices.Sort(fields)
			lines = append(lines, fmt.Sprint(table.Name, fields))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines, columns
}

// What is copied there and back is the same, whatever is in it, and goes on from there.
func TestCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lastseen.db")
	from, err := sqlite.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	something(t, from)
	there := open(t, template.New(t))
	counts, err := there.Fill(t.Context(), from.Dump)
	if err != nil {
		t.Fatal(err)
	}
	want, columns := dumped(t, from)
	got, theirs := dumped(t, there)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	for table, names := range columns {
		if !slices.Equal(theirs[table], names) {
			t.Errorf("%s has the columns %q in SQLite and %q in PostgreSQL", table, names, theirs[table])
		}
	}
	for _, table := range db.CopiedTables {
		if counts[table] == 0 && table != "passkey_challenges" {
			t.Errorf("nothing of %s is copied: this tests nothing of it", table)
		}
	}
	if _, err := there.Fill(t.Context(), from.Dump); !errors.Is(err, db.ErrConflict) {
		t.Errorf("onto one in use: got %v", err)
	}
	// Numbers go on, and what triggers write is there.
	if eve := dbtest.CreateUser(t, there, "eve", false); eve.ID != 4 {
		t.Errorf("the next user has the number %d, want 4", eve.ID)
	}
	if ada, err := there.UserByName(t.Context(), "ADA"); err != nil || len(ada.Groups) != 2 {
		t.Errorf("got %+v, %v", ada, err)
	}
	if err := there.DeleteUser(t.Context(), 4, true, dbtest.Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	if err := there.DeleteAlertTarget(t.Context(), 1, "one", dbtest.Event(db.ModelDeleted)); err != nil { // the only one
		t.Fatal(err)
	}
	back, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "back.db"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if _, err := back.Fill(t.Context(), there.Dump); err != nil {
		t.Fatal(err)
	}
	want, _ = dumped(t, there)
	if got, _ := dumped(t, back); !slices.Equal(got, want) {
		t.Errorf("back: got\n%q\nwant\n%q", got, want)
	}
	if eve := dbtest.CreateUser(t, back, "eve", false); eve.ID != 5 {
		t.Errorf("back, the next user has the number %d, want 5: 4 was given before", eve.ID)
	}
	seal := func(int64) ([]byte, error) { return []byte{1}, nil }
	if target, err := back.CreateAlertTarget(t.Context(), db.AlertTarget{Created: dbtest.Start}, seal, func(db.AlertTarget) db.Event { return dbtest.Event(db.ModelCreated) }); err != nil || target.ID != 2 {
		t.Errorf("back, the next target has the number %d, %v, want 2: 1 was given before", target.ID, err)
	}
	if _, total, err := back.Sessions(t.Context(), db.SessionFilter{}); err != nil || total != 2 {
		t.Errorf("back, %d sessions, %v", total, err)
	}
}

// Every table is copied, or else known not to be.
func TestAllTablesAreCopied(t *testing.T) {
	s := open(t, template.New(t))
	var all []string
	err := s.read(t.Context(), func(ctx context.Context, q querier) (err error) {
		all, err = rows(ctx, q, column[string], `SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range all {
		if not := []string{"schema_migrations", "servers", "login_attempts", "rules_version", "session_counts"}; slices.Contains(db.CopiedTables, table) == slices.Contains(not, table) {
			t.Errorf("is %s copied?", table)
		}
	}
}

// something is a row or more of each table.
func something(t *testing.T, s app.Store) {
	t.Helper()
	ada, bob, carol := dbtest.CreateUser(t, s, "Ada", true), dbtest.CreateUser(t, s, "bøb", false), dbtest.CreateUser(t, s, "carol", false)
	event := dbtest.Event(db.ModelUpdated)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.UpdateProfile(t.Context(), bob.ID, "BØB", "bob@home.example", event))
	must(s.SetGroups(t.Context(), ada.ID, []string{"family", "ärzte"}, func(string, bool) db.Event { return event }))
	_, err := s.CreateToken(t.Context(), db.Token{UUID: uuid.New(), Identifier: "Key", User: ada, Created: dbtest.Start, Expires: dbtest.Start.Add(time.Hour), Scope: db.ScopeRead}, []byte("hash"), event)
	must(err)
	sess := db.Session{UUID: uuid.New(), UserID: ada.ID, Agent: dbtest.Agent("Mozilla/5.0"), IP: netip.MustParseAddr("2001:db8::1"), Via: netip.MustParseAddr("192.0.2.1"), Method: "password", Remember: true,
		Created: dbtest.Start, LastUsed: dbtest.Start, Ends: dbtest.Start.Add(time.Hour), Expires: dbtest.Start.Add(time.Hour)}
	sess, err = s.CreateSession(t.Context(), db.SignIn{User: ada, Session: sess, TokenHash: sess.UUID[:], Network: "n", Device: []byte("device"), Event: event})
	must(err)
	dbtest.CreateSession(t, s, bob, "192.0.2.7", dbtest.Start)
	ended := dbtest.CreateSession(t, s, carol, "192.0.2.8", dbtest.Start)
	must(s.EndSession(t.Context(), db.Use{UUID: ended.UUID}, db.Revoked, event))
	code := db.AppCode{Hash: []byte("code"), State: []byte("state"), Secure: true, Host: "app.home.example", Session: sess.UUID, Target: "https://app.home.example/", Created: dbtest.Start}
	must(s.CreateCode(t.Context(), code, time.Unix(0, 0)))
	_, _, err = s.RedeemCode(t.Context(), code, time.Unix(0, 0), []byte("token"))
	must(err)
	must(s.CreateCode(t.Context(), code, time.Unix(0, 0)))
	must(s.RecordReaches(t.Context(), func(yield func(db.SessionHost, db.Reach) bool) {
		yield(db.SessionHost{Session: sess.UUID, Host: "app.home.example"}, db.Reach{Host: "app.home.example", First: dbtest.Start, Last: dbtest.Start})
	}, 10))
	must(s.LoginFailed(t.Context(), "ada", "n", event, db.LoginLimits{}))
	_, err = s.CreateRule(t.Context(), db.Rule{Host: "*.home.example", Groups: []string{"family"}, Created: dbtest.Start}, func(db.Rule) db.Event { return event })
	must(err)
	factor := func(n db.NewFactor) {
		n.Event = func(int64) db.Event { return event }
		n.Recovery = [][]byte{[]byte("one"), []byte("two")}
		must(s.AddFactor(t.Context(), n))
	}
	yes := true
	factor(db.NewFactor{TOTP: &db.TOTP{UUID: uuid.New(), UserID: ada.ID, Name: "phone", Secret: []byte{0, 1, 255}, Step: 7, Created: dbtest.Start}})
	factor(db.NewFactor{Passkey: &db.Passkey{UserID: ada.ID, Name: "key", CredentialID: []byte{1}, RPID: "home.example", Discoverable: &yes, Credential: []byte(`{"a":1}`), Created: dbtest.Start}})
	must(s.CreatePending(t.Context(), ada, db.PendingSignIn{UserID: ada.ID, Proven: "password", Created: dbtest.Start}, db.Proof{}, []byte("pending"), time.Unix(0, 0)))
	alert := event
	alert.Alert = &db.Alert{UUID: uuid.New(), Type: "sign_in", UserID: ada.ID, Created: dbtest.Start, Content: []byte(`{}`)}
	must(s.Record(t.Context(), alert))
	waiting, err := s.NewAlerts(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.PlanAlerts(t.Context(), waiting, func(db.Alert, int) ([]string, bool) { return []string{"one", "two"}, false })
	must(err)
	must(s.NotDelivered(t.Context(), nil, db.AlertProblem{Target: "one", Created: dbtest.Start, Problem: "no"}))
	_, err = s.CreateAlertTarget(t.Context(), db.AlertTarget{Created: dbtest.Start}, func(int64) ([]byte, error) { return []byte{1, 0}, nil }, func(db.AlertTarget) db.Event { return event })
	must(err)
	must(s.SetAlertChoice(t.Context(), ada.ID, db.AlertChoice{Types: "locked"}))
	_, err = s.CreateLink(t.Context(), db.Link{Kind: db.Invite, Username: "Zoë", Groups: []string{"a"}, Created: dbtest.Start, Expires: dbtest.Start.Add(time.Hour)}, []byte("link"), func(db.Link) db.Event { return event })
	must(err)
	must(s.SetSetting(t.Context(), "a", "b"))
}
