package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"lastseen/db/pgtest"
	"lastseen/geoip"

	"github.com/google/uuid"
)

func TestReasons(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
		{alert.PasswordChanged, self, func(by Actor) error {
			return a.SetPassword(t.Context(), by, ada, NewPassword{Password: "correct horses", Spare: by.Session})
		}},
		{alert.PasswordChanged, super, func(by Actor) error {
			return a.SetPassword(t.Context(), by, ada, NewPassword{Password: "correct horses"})
		}},
		{alert.PasswordChanged, Operator.Actor(), func(by Actor) error {
			return a.SetPassword(t.Context(), by, ada, NewPassword{Password: "correct horses"})
		}},
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
		if err := tt.do(tt.by); errors.Is(err, db.ErrOwnBackup) && pgtest.Asked() {
			continue
		} else if err != nil {
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
	t.Parallel()
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
