package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
)

// An account is a user whom a superuser changes again and again, one change at
// a time, and what must be there of it after a kill: what was answered, or with
// it the one change, whole, that was under way.
type account struct {
	id          int64
	name        string
	step        int
	was, coming condition
}

// A condition is all that one of the changes could leave half done.
type condition struct {
	Active    bool
	Password  int // how many times it was set
	Sessions  int // that live
	Groups    string
	Rules     int // with two groups each
	Members   int // the groups of these rules
	Updates   int // the events that tell of it
	RuleMakes int
}

func (a *account) password(n int) string { return fmt.Sprintf("horse number %d", n) }

// change brings the account from one condition to the next, until it is told to
// stop or the server is gone.
func (a *account) change(base string, admin *http.Client, stop chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		a.step++ // no name comes twice, whether or not what was cut off was done
		next, path, form := a.was, "", url.Values{}
		client := admin
		switch n := a.step % 12; { // those without a hash are quick, so there are more of them
		case !a.was.Active:
			next.Active, next.Updates = true, next.Updates+1
			path = fmt.Sprintf("/users/%d/enable", a.id)
		case a.was.Sessions == 0:
			next.Sessions = 1
			path, form = "/login", url.Values{"username": {a.name}, "password": {a.password(a.was.Password)}}
			client = &http.Client{CheckRedirect: admin.CheckRedirect}
		case n < 6: // leaves one group, joins another, keeps a third; at first it joins two
			next.Groups, next.Updates = fmt.Sprintf("%s-%d,common", a.name, a.step), next.Updates+2
			path, form = fmt.Sprintf("/users/%d/groups", a.id), url.Values{"groups": {next.Groups}}
		case n < 10:
			next.Rules, next.Members, next.RuleMakes = next.Rules+1, next.Members+2, next.RuleMakes+1
			path, form = "/rules", url.Values{"kind": {"allow"}, "host": {fmt.Sprintf("%s-%d.example", a.name, a.step)}, "groups": {a.name + ",rulers"}}
		case n == 10:
			next.Password, next.Sessions = next.Password+1, 0
			path, form = fmt.Sprintf("/users/%d/password", a.id), url.Values{"password": {a.password(next.Password)}}
		default:
			next.Active, next.Sessions, next.Updates = false, 0, next.Updates+1
			path = fmt.Sprintf("/users/%d/disable", a.id)
		}
		a.coming = next
		res, err := client.PostForm(base+path, form)
		if err != nil {
			return nil // killed
		}
		res.Body.Close()
		if res.StatusCode != http.StatusSeeOther {
			return fmt.Errorf("%s %v: got %d", path, form, res.StatusCode)
		}
		a.was = next
	}
}

// look reads the account's condition from the database.
func (a *account) look(conn *sql.DB) (c condition, err error) {
	row := conn.QueryRowContext(context.Background(), `SELECT active,
		(SELECT count(*) FROM events e WHERE e.action = 'password_set' AND e.subject_id = u.id),
		(SELECT count(*) FROM sessions s WHERE s.user_id = u.id),
		coalesce((SELECT group_concat(name) FROM (SELECT g.name FROM user_groups m JOIN groups g ON g.id = m.group_id WHERE m.user_id = u.id ORDER BY g.name)), ''),
		(SELECT count(*) FROM rules r WHERE r.host LIKE u.username || '-%'),
		(SELECT count(*) FROM rules r JOIN rule_groups m ON m.rule_id = r.id WHERE r.host LIKE u.username || '-%'),
		(SELECT count(*) FROM events e WHERE e.action = 'model_updated' AND e.subject_id = u.id),
		(SELECT count(*) FROM events e WHERE e.action = 'model_created' AND e.context LIKE '%"name":"' || u.username || '-%')
		FROM users u WHERE u.id = $1`, a.id)
	return c, row.Scan(&c.Active, &c.Password, &c.Sessions, &c.Groups, &c.Rules, &c.Members, &c.Updates, &c.RuleMakes)
}

// check compares the account with what was answered, and takes what it finds as
// the beginning of what comes.
func (a *account) check(t *testing.T, conn *sql.DB) {
	t.Helper()
	got, err := a.look(conn)
	if err != nil {
		t.Fatal(err)
	}
	if got != a.was && got != a.coming {
		t.Errorf("%s is neither as answered nor one change on:\n got %+v\nwas  %+v\nthen %+v", a.name, got, a.was, a.coming)
	}
	a.was, a.coming = got, got
}

// wholes are what must be nowhere in a database, whatever was cut off.
var wholes = map[string]string{
	"a session without the event of its sign-in, or the event without it": `SELECT count(*) FROM (
		SELECT lower(hex(uuid)) AS id FROM sessions UNION ALL SELECT lower(hex(uuid)) FROM ended_sessions) s
		FULL JOIN (SELECT replace(json_extract(context, '$.session'), '-', '') AS id FROM events WHERE action = 'login') e ON e.id = s.id
		WHERE s.id IS NULL OR e.id IS NULL`,
	"a session both living and ended": `SELECT count(*) FROM sessions WHERE uuid IN (SELECT uuid FROM ended_sessions)`,
	"a sign-out without its event, or the event without it": `SELECT abs(
		(SELECT count(*) FROM ended_sessions WHERE reason = 'signed_out') - (SELECT count(*) FROM events WHERE action = 'logout'))`,
	"a new password without its alert, or the alert without it": `SELECT count(*) FROM
		(SELECT created, subject_id FROM events WHERE action = 'password_set') e
		FULL JOIN (SELECT created, user_id FROM alerts WHERE type = 'password_changed') a ON a.created = e.created AND a.user_id = e.subject_id
		WHERE e.created IS NULL OR a.created IS NULL`,
	"a reference to nothing": `SELECT count(*) FROM pragma_foreign_key_check`,
	"damage":                 `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
}

// checkWhole looks through the database as a kill left it.
func checkWhole(t *testing.T, conn *sql.DB) {
	t.Helper()
	for what, query := range wholes {
		var n int
		if err := conn.QueryRow(query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n != 0 {
			t.Errorf("%d times %s", n, what)
		}
	}
}

// changeAll has all accounts changed until the server is gone.
func changeAll(t *testing.T, p *process, accounts []*account, stop chan struct{}, wait *sync.WaitGroup) {
	t.Helper()
	admin := browser(t)
	if got := p.signIn(admin, "admin", "correct horse"); got != http.StatusSeeOther {
		t.Fatalf("sign in: got %d\n%s", got, p.log())
	}
	for _, a := range accounts {
		wait.Go(func() {
			if err := a.change(p.url, admin, stop); err != nil {
				t.Error(err)
			}
		})
	}
}
