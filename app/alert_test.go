package app

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app/alert"
	"lastseen/db"
	"lastseen/geoip"

	"github.com/google/uuid"
)

func TestReasons(t *testing.T) {
	at := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	home := map[string]time.Time{"GB": at, "FR": at}
	known := db.SignInHistory{Device: true, Client: true, Any: true}
	for _, tt := range []struct {
		name  string
		facts signInFacts
		want  string
	}{
		{"as ever", signInFacts{known, geoip.Public, "GB", home, false}, "[]"},
		{"the first of all", signInFacts{db.SignInHistory{}, geoip.Public, "SE", nil, false}, "[]"},
		{"another device", signInFacts{db.SignInHistory{Any: true}, geoip.Public, "GB", home, false}, "[new_device]"},
		{"without a cookie, as a private window is", signInFacts{db.SignInHistory{Client: true, Any: true}, geoip.Public, "GB", home, false}, "[]"},
		{"the device became another browser", signInFacts{db.SignInHistory{Device: true, Any: true}, geoip.Public, "GB", home, false}, "[]"},
		{"another country", signInFacts{known, geoip.Public, "SE", home, false}, "[new_country]"},
		{"both", signInFacts{db.SignInHistory{Any: true}, geoip.Public, "SE", home, false}, "[new_device new_country]"},
		{"no country is known of before", signInFacts{known, geoip.Public, "SE", nil, false}, "[]"},
		{"no country is known now", signInFacts{known, geoip.Public, "", home, false}, "[]"},
		{"at home", signInFacts{known, geoip.ScopeOf(netip.MustParseAddr("192.168.1.2")), "SE", home, false}, "[]"},
		{"a carrier's shared address", signInFacts{known, geoip.ScopeOf(netip.MustParseAddr("100.64.1.2")), "SE", home, false}, "[]"},
		{"another device at home", signInFacts{db.SignInHistory{Any: true}, geoip.ScopeOf(netip.MustParseAddr("192.168.1.2")), "", home, false}, "[new_device]"},
		{"a cookie that the account forgot, or of another's browser", signInFacts{db.SignInHistory{Client: true, Any: true}, geoip.Public, "GB", home, true}, "[new_device]"},
		{"the cookie of a device", signInFacts{known, geoip.Public, "GB", home, true}, "[]"},
	} {
		if got := fmt.Sprint(reasonsOf(tt.facts)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// A receiver is a webhook that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []alert.Message
	refuse func(alert.Message) bool
}

func receive(t testing.TB) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var m alert.Message
		body, _ := io.ReadAll(req.Body)
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("got %s: %v", body, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse != nil && r.refuse(m) {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		r.got = append(r.got, m)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) url() string { return "webhook+" + r.URL + "/hook" }

// types are those of what was received since the last call.
func (r *receiver) types() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var types []string
	for _, m := range r.got {
		types = append(types, string(m.Type))
	}
	r.got = nil
	slices.Sort(types)
	return fmt.Sprint(types)
}

func alerting(t *testing.T) (a *App, advance func(time.Duration)) {
	a, advance = clocked(t, t.TempDir())
	a.Config.PublicURL, _ = url.Parse("https://id.example")
	return a, advance
}

func addTarget(t testing.TB, a *App, url string, types ...alert.Type) AlertTarget {
	t.Helper()
	target, err := a.AddAlertTarget(t.Context(), Operator.Actor(), url, types)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// sendDue sends once what is due, as the loop does.
func sendDue(t testing.TB, a *App) {
	t.Helper()
	due, err := a.alertsDue(t.Context(), nil, targetsAtMost)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for target, deliveries := range due {
		all.Go(func() { a.deliver(t.Context(), target, deliveries) })
	}
	all.Wait()
}

const (
	firefox    = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	firefoxNew = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
	iphone     = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

func TestSignInAlerts(t *testing.T) {
	a, advance := alerting(t)
	hook := receive(t)
	addTarget(t, a, hook.url())
	create(t, a, NewUser{Username: "ada"})
	create(t, a, NewUser{Username: "bob"})
	own, other := newSecret(), newSecret()
	for _, step := range []struct {
		name, user, agent, device string
		want                      string
	}{
		{"the first", "ada", firefox, own, "[]"},
		{"the same", "ada", firefox, own, "[]"},
		{"updated", "ada", firefoxNew, own, "[]"},
		{"updated, without its cookie", "ada", firefoxNew, newSecret(), "[]"},
		{"a phone", "ada", iphone, other, "[sign_in]"},
		{"the phone once more", "ada", iphone, other, "[]"},
		{"the first of another person, on ada's", "bob", firefox, own, "[]"},
		{"the phone of ada, by bob", "bob", iphone, other, "[sign_in]"},
		{"a program", "ada", "curl/8", newSecret(), "[sign_in]"},
	} {
		client := Client{IP: netip.MustParseAddr("192.0.2.1"), Agent: step.agent, Device: step.device}
		_, sess, err := a.SignIn(t.Context(), Credentials{Username: step.user, Password: "correct horse"}, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		sendDue(t, a)
		hook.mu.Lock()
		for _, m := range hook.got {
			if m.User != step.user || m.URL != "https://id.example/sessions/"+sess.UUID.String() || m.Address != "192.0.2.1" || m.Device == "" || !strings.Contains(m.Text, "first sign-in from this device") {
				t.Errorf("%s: got %+v", step.name, m)
			}
		}
		hook.mu.Unlock()
		if got := hook.types(); got != step.want {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
		advance(time.Hour)
	}
}

// What is always told is told to the superusers' targets, and to the person concerned.
func TestAlwaysTold(t *testing.T) {
	a, advance := alerting(t)
	hook, choosy := receive(t), receive(t)
	root := create(t, a, NewUser{Username: "root", Superuser: true})
	ada := create(t, a, NewUser{Username: "ada"})
	addTarget(t, a, hook.url())
	addTarget(t, a, choosy.url(), alert.PasswordChanged)
	sendDue(t, a)
	if got := hook.types(); got != "[superuser_added]" {
		t.Errorf("got %s", got)
	}
	self := Actor{ID: ada.ID, Name: "ada", IP: netip.MustParseAddr("192.0.2.1"), Agent: firefox, Session: uuid.New()}
	super := Actor{ID: root.ID, Name: "root"}
	promoted := ada
	promoted.Superuser = true
	for _, tt := range []struct {
		want alert.Type // "": nothing
		by   Actor
		do   func(Actor) error
	}{
		{alert.PasswordChanged, self, func(by Actor) error { return a.SetPassword(t.Context(), by, ada, "correct horses", by.Session) }},
		{alert.PasswordChanged, super, func(by Actor) error { return a.SetPassword(t.Context(), by, ada, "correct horses", uuid.Nil) }},
		{alert.PasswordChanged, Operator.Actor(), func(by Actor) error { return a.SetPassword(t.Context(), by, ada, "correct horses", uuid.Nil) }},
		{alert.KeyCreated, self, func(by Actor) error {
			_, _, err := a.CreateToken(t.Context(), by, NewToken{User: ada, Identifier: "homepage"})
			return err
		}},
		{alert.KeyCreated, Operator.Actor(), func(by Actor) error {
			_, _, err := a.CreateToken(t.Context(), by, NewToken{User: ada, Identifier: "backup"})
			return err
		}},
		{"", self, func(by Actor) error { return a.UpdateUser(t.Context(), by, ada) }},
		{alert.SuperuserAdded, super, func(by Actor) error { return a.UpdateUser(t.Context(), by, promoted) }},
		{"", super, func(by Actor) error { return a.UpdateUser(t.Context(), by, promoted) }},
		{alert.SuperuserAdded, super, func(by Actor) error {
			_, err := a.CreateUser(t.Context(), by, NewUser{Username: "eve", Password: "correct horse", Superuser: true})
			return err
		}},
		{"", super, func(by Actor) error {
			_, err := a.CreateUser(t.Context(), by, NewUser{Username: "otto", Password: "correct horse"})
			return err
		}},
		{alert.FactorRemoved, super, func(by Actor) error { return a.ResetFactors(t.Context(), by, ada) }},
		{alert.BackupTaken, self, func(by Actor) error {
			copied, err := a.Download(t.Context(), Caller{User: &promoted, Session: by.Session, IP: by.IP, Agent: by.Agent})
			if err == nil {
				err = copied.Close()
			}
			return err
		}},
		{"", super, func(by Actor) error { return a.SetUserActive(t.Context(), by, ada, true) }},
	} {
		if err := tt.do(tt.by); err != nil {
			t.Fatal(err)
		}
		sendDue(t, a)
		how := " by " + tt.by.Name
		if tt.by.Name == alert.CommandLine {
			how = " on the command line"
		}
		hook.mu.Lock()
		for _, m := range hook.got {
			switch {
			case tt.by.ID == ada.ID && (m.By != "" || m.Session != tt.by.Session.String() || m.Address != "192.0.2.1" || !strings.Contains(m.Text, "Firefox 140 on Linux")):
				t.Errorf("%s by oneself: got %+v", tt.want, m)
			case tt.by.ID != ada.ID && (m.By != tt.by.Name || m.Session != "" || !strings.Contains(m.Text, how)):
				t.Errorf("%s by %s: got %+v", tt.want, tt.by.Name, m)
			}
		}
		hook.mu.Unlock()
		want, chosen := "[]", "[]"
		if tt.want != "" {
			want = fmt.Sprintf("[%s]", tt.want)
		}
		if tt.want == alert.PasswordChanged {
			chosen = want
		}
		if got, one := hook.types(), choosy.types(); got != want || one != chosen {
			t.Errorf("%s by %s: got %s and, of one type, %s", tt.want, tt.by.Name, got, one)
		}
		advance(time.Hour)
	}
}

// An account that is locked is told of once.
func TestLockIsTold(t *testing.T) {
	a, _ := alerting(t)
	hook := receive(t)
	addTarget(t, a, hook.url())
	create(t, a, NewUser{Username: "ada"})
	for i := range loginLimits.Account - 2 {
		for _, name := range []string{"ada", "nobody"} {
			event := a.event(Actor{}, db.LoginFailed, 0, nil)
			if err := a.store.LoginFailed(t.Context(), name, fmt.Sprintf("198.51.100.%d/32", i), event, loginLimits); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, want := range []string{"[]", "[account_locked]", "[]", "[]"} {
		for _, name := range []string{"Ada", "nobody"} {
			if err := signIn(a, name, "wrong", fmt.Sprintf("203.0.113.%d", i)); err == nil {
				t.Fatal("a wrong password was right")
			}
		}
		sendDue(t, a)
		for _, m := range hook.got {
			if m.User != "ada" || m.Title != "Account ada locked" {
				t.Errorf("it is called as it was typed: %+v", m)
			}
		}
		if got := hook.types(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// changePassword stores that a password was changed, which costs no hash.
func changePassword(t testing.TB, a *App, user db.User) {
	t.Helper()
	event := a.event(Operator.Actor(), db.PasswordSet, user.ID, nil)
	if err := a.store.Record(t.Context(), a.tells(event, Operator.Actor(), alert.PasswordChanged, user, "")); err != nil {
		t.Fatal(err)
	}
}

// A target that is dead is tried again, the first time soon, and holds up no other one;
// when it lives again it gets all.
func TestDeadTarget(t *testing.T) {
	a, advance := alerting(t)
	alive, dead := receive(t), receive(t)
	down := true
	dead.refuse = func(alert.Message) bool { return down }
	addTarget(t, a, alive.url())
	target := addTarget(t, a, dead.url())
	ada := create(t, a, NewUser{Username: "ada"})
	change := func(n int) {
		t.Helper()
		for range n {
			changePassword(t, a, ada)
		}
	}
	change(3)
	sendDue(t, a)
	if got := alive.types(); strings.Count(got, "password_changed") != 3 {
		t.Errorf("the live one got %s", got)
	}
	all, err := a.AlertTargets(t.Context())
	if err != nil || all[0].Problem.Problem != "" || !strings.Contains(all[1].Problem.Problem, "answered 500") || all[1].ID != target.ID {
		t.Errorf("got %+v, %v", all, err)
	}
	down = false
	advance(45 * time.Second)
	sendDue(t, a)
	if got := dead.types(); strings.Count(got, "password_changed") != 3 {
		t.Errorf("after 45 seconds it got %s", got)
	}
	if problems, err := a.AlertProblems(t.Context()); err != nil || len(problems) != 0 {
		t.Errorf("got %v, %v", problems, err)
	}

	// Dead for hours, and back.
	down = true
	advance(time.Hour)
	change(2)
	tries := 0
	dead.refuse = func(alert.Message) bool { tries++; return down }
	for range 10 * 60 {
		sendDue(t, a)
		advance(time.Minute)
	}
	if tries < 10 || tries > 60 {
		t.Errorf("in ten hours it was tried %d times", tries)
	}
	alive.types()
	down = false
	change(1)
	sendDue(t, a)
	advance(time.Second)
	sendDue(t, a)
	if got := dead.types(); strings.Count(got, "password_changed") != 3 {
		t.Errorf("back after ten hours, it got %s", got)
	}

	// Dead for more than a day: given up, and the problem stays to be seen.
	down = true
	change(1)
	for range 26 {
		sendDue(t, a)
		advance(time.Hour)
	}
	if w, err := a.AlertWork(t.Context()); err != nil || w.Deliveries != 0 {
		t.Errorf("got %+v, %v, want nothing that waits", w, err)
	}
	if problems, err := a.AlertProblems(t.Context()); err != nil || len(problems) != 1 {
		t.Errorf("got %v, %v", problems, err)
	}
}

// One message that a receiver does not take holds up no other one.
func TestRefusedMessage(t *testing.T) {
	a, advance := alerting(t)
	hook := receive(t)
	hook.refuse = func(m alert.Message) bool { return m.Type == alert.KeyCreated }
	addTarget(t, a, hook.url())
	ada := create(t, a, NewUser{Username: "ada"})
	if _, _, err := a.CreateToken(t.Context(), Operator.Actor(), NewToken{User: ada}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		changePassword(t, a, ada)
		sendDue(t, a)
		advance(time.Second)
	}
	if got := hook.types(); strings.Count(got, "password_changed") != 3 {
		t.Errorf("got %s", got)
	}
}

// Five an hour, then one line with the person and the number.
func TestQuiet(t *testing.T) {
	a, advance := alerting(t)
	hook := receive(t)
	addTarget(t, a, hook.url())
	ada := create(t, a, NewUser{Username: "ada"})
	for range 12 {
		changePassword(t, a, ada)
	}
	for range 60 {
		sendDue(t, a)
		advance(time.Minute)
	}
	hook.mu.Lock()
	last := hook.got[len(hook.got)-1]
	hook.mu.Unlock()
	if last.User != "ada" || last.Count != 7 || last.Title != "7 more alerts of ada" {
		t.Errorf("got %+v", last)
	}
	if got := hook.types(); got != "[password_changed password_changed password_changed password_changed password_changed summary]" {
		t.Errorf("got %s", got)
	}
}

// While what is held back waits for its summary, and nothing is new, there is nothing to
// write: who writes meanwhile holds up nothing.
func TestHeldAlertsWriteNothing(t *testing.T) {
	a, advance := alerting(t)
	hook := receive(t)
	addTarget(t, a, hook.url())
	ada := create(t, a, NewUser{Username: "ada"})
	for range alertsAnHour + 2 {
		changePassword(t, a, ada)
	}
	sendDue(t, a)
	other, err := sql.Open("sqlite", "file:"+DatabasePath(a.Config.DataDir)+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	writing, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer writing.Rollback()
	if w, err := a.AlertWork(t.Context()); err != nil || w != (db.AlertWork{Held: 2}) {
		t.Fatalf("got %+v, %v, want two that are held back", w, err)
	}
	sendDue(t, a)
	if err := writing.Rollback(); err != nil {
		t.Fatal(err)
	}
	hook.types()
	advance(heldQuiet)
	sendDue(t, a)
	if got := hook.types(); got != "[summary]" {
		t.Errorf("got %s, want the summary after all", got)
	}
}

// Two processes on one database send each alert once, and a target that one of them adds
// counts for the other at once.
func TestTwoSenders(t *testing.T) {
	dir := t.TempDir()
	a, _ := clocked(t, dir)
	b := openApp(t, dir)
	b.Now = a.Now
	hook := receive(t)
	for _, app := range []*App{a, b} {
		app.Config.PublicURL, _ = url.Parse("https://id.example")
	}
	addTarget(t, b, hook.url())
	for i := range 30 {
		changePassword(t, a, db.User{ID: int64(i + 1), Username: fmt.Sprint("user", i)})
	}
	var both sync.WaitGroup
	for _, app := range []*App{a, b} {
		both.Go(func() {
			for range 4 {
				sendDue(t, app)
			}
		})
	}
	both.Wait()
	seen := map[uuid.UUID]bool{}
	for _, m := range hook.got {
		if seen[m.ID] {
			t.Errorf("%s was sent twice", m.Title)
		}
		seen[m.ID] = true
	}
	if len(seen) != 30 {
		t.Errorf("got %d, want 30", len(seen))
	}
}

// What waits for a user's own mail is for nobody when they are gone.
func TestGoneTargets(t *testing.T) {
	a, _ := alerting(t)
	for _, id := range []string{"7", "s00000000", mailOf + "7", mailOf, ""} {
		if _, err := a.resolve(t.Context(), id); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%q: got %v", id, err)
		}
		if err := a.TestAlert(t.Context(), id); err == nil {
			t.Errorf("%q was tested", id)
		}
	}
	ada := create(t, a, NewUser{Username: "ada", Email: "ada@home.example"})
	if to, err := a.resolve(t.Context(), fmt.Sprint(mailOf, ada.ID)); err != nil || to.String() != "mailto:ada@home.example" {
		t.Errorf("got %s, %v", to, err)
	}
	if err := a.SetUserActive(t.Context(), Operator.Actor(), ada, false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.resolve(t.Context(), fmt.Sprint(mailOf, ada.ID)); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("mail for who is disabled: got %v", err)
	}
}

// Who has an address gets their own by mail, unless they chose otherwise.
func TestOwnMail(t *testing.T) {
	a, _ := alerting(t)
	ada := create(t, a, NewUser{Username: "ada", Email: "ada@home.example"})
	planned := func(kind alert.Type) string {
		t.Helper()
		event := a.tells(a.event(Operator.Actor(), db.PasswordSet, ada.ID, nil), Operator.Actor(), kind, ada, "x")
		if err := a.store.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		due, err := a.alertsDue(t.Context(), nil, targetsAtMost)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(slices.Collect(maps.Keys(due)))
	}
	choose := func(mail bool, types ...alert.Type) {
		t.Helper()
		if err := a.ChooseAlertMail(t.Context(), ada.ID, mail, types); err != nil {
			t.Fatal(err)
		}
	}
	own := fmt.Sprintf("[%s%d]", mailOf, ada.ID)
	check := func(when string, kind alert.Type, want string) {
		t.Helper()
		if got := planned(kind); got != want {
			t.Errorf("%s: %s goes to %s, want %s", when, kind, got, want)
		}
	}
	check("without a server", alert.KeyCreated, "[]")
	var err error
	if a.Config.Mail, err = alert.NewMailer("smtp://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	check("without a choice", alert.KeyCreated, own)
	choose(false)
	check("switched off", alert.KeyCreated, "[]")
	choose(true, alert.PasswordChanged)
	check("chosen", alert.PasswordChanged, own)
	check("not chosen", alert.KeyCreated, "[]")
	choose(true)
	if err := a.UpdateProfile(t.Context(), Caller{User: &ada}, "Ada", ""); err != nil {
		t.Fatal(err)
	}
	check("without an address", alert.SuperuserAdded, "[]")
}

// The loop sends, a sign-in at once, and ends when it is told to.
func TestSending(t *testing.T) {
	a, _ := alerting(t)
	hook := receive(t)
	addTarget(t, a, hook.url())
	ada := create(t, a, NewUser{Username: "ada"})
	signInOn := func(agent string) {
		client := Client{IP: netip.MustParseAddr("192.0.2.1"), Agent: agent, Device: newSecret()}
		if _, _, err := a.startSession(t.Context(), entry{user: ada, proven: ByPassword, client: client}); err != nil {
			t.Error(err)
		}
	}
	signInOn(firefox)
	for _, tt := range []struct {
		every time.Duration
		do    func()
		want  string
	}{
		{time.Hour, func() { signInOn(iphone) }, "[sign_in]"},
		{time.Millisecond, func() { changePassword(t, a, ada) }, "[password_changed]"},
	} {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.keepAlerts(ctx, tt.every) }()
		tt.do()
		got := hook.types()
		for ; got == "[]" && ctx.Err() == nil; got = hook.types() {
			time.Sleep(5 * time.Millisecond)
		}
		if got != tt.want {
			t.Errorf("each %v: got %s, want %s", tt.every, got, tt.want)
		}
		stop()
		<-ended
	}
}

// A target's secrets are in the database only encrypted, and without the key it is shown
// as what cannot be read, and can be removed.
func TestTargetsAreSealed(t *testing.T) {
	dir := t.TempDir()
	a, _ := clocked(t, dir)
	target := addTarget(t, a, "ntfy://:tk_s3cret@ntfy.example/h1dden")
	stored, err := a.store.AlertTargets(t.Context())
	if err != nil || strings.Contains(string(stored[0].URL), "s3cret") || strings.Contains(string(stored[0].URL), "ntfy") {
		t.Errorf("got %q, %v", stored[0].URL, err)
	}
	events, _, err := a.store.Events(t.Context(), db.EventFilter{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if said := fmt.Sprint(e.Context); strings.Contains(said, "s3cret") || strings.Contains(said, "h1dden") {
			t.Errorf("the event has the secret in it: %s", said)
		}
	}
	b := openApp(t, dir)
	b.Config.DataDir = t.TempDir()
	all, err := b.AlertTargets(t.Context())
	if err != nil || len(all) != 1 || all[0].Target != (alert.Target{}) || all[0].Problem.Problem == "" {
		t.Errorf("without the key: got %+v, %v", all, err)
	}
	if err := b.RemoveAlertTarget(t.Context(), Operator.Actor(), target.ID); err != nil {
		t.Error(err)
	}
}

// What a sign-in costs that people are told of, without its password, while ten targets
// answer nobody; ratio is that to the cost without a target.
func BenchmarkSignInDeadTargets(b *testing.B) {
	var alone float64
	for _, targets := range []int{0, 10} {
		b.Run(fmt.Sprintf("targets=%d", targets), func(b *testing.B) {
			a := openApp(b, b.TempDir())
			a.Config.PublicURL, _ = url.Parse("https://id.example")
			for range targets {
				l, err := net.Listen("tcp", "127.0.0.1:0") // which takes connections, and says nothing
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				addTarget(b, a, "webhook+http://"+l.Addr().String()+"/hook")
			}
			ctx, stop := context.WithCancel(b.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); a.keepAlerts(ctx, sendEvery) }()
			var took time.Duration
			n := 0
			for b.Loop() {
				b.StopTimer()
				n++
				u := db.User{UUID: uuid.New(), Username: fmt.Sprint("u", n), PasswordHash: "x", Active: true, Created: a.now()}
				u, err := a.store.CreateUser(ctx, u, false, func(db.User) db.Event { return a.event(Operator.Actor(), db.ModelCreated, 0, nil) })
				if err != nil {
					b.Fatal(err)
				}
				client := Client{IP: netip.MustParseAddr("192.0.2.7"), Agent: firefox, Device: newSecret()}
				if _, _, err := a.startSession(ctx, entry{user: u, proven: ByPassword, client: client}); err != nil {
					b.Fatal(err)
				}
				client.Agent, client.Device = iphone, newSecret()
				b.StartTimer()
				start := time.Now()
				if _, _, err := a.startSession(ctx, entry{user: u, proven: ByPassword, client: client}); err != nil {
					b.Fatal(err)
				}
				took += time.Since(start)
			}
			stop()
			<-ended
			each := took.Seconds() / float64(n)
			if targets == 0 {
				alone = each
			}
			b.ReportMetric(each/alone, "ratio")
		})
	}
}
