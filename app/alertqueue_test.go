package app

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"lastseen/app/alert"
	"lastseen/db"

	"github.com/google/uuid"
)

// A target that is dead is tried again, the first time soon, and holds up no other one;
// when it lives again it gets all.
func TestDeadTarget(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

// The loop sends, a sign-in at once, and ends when it is told to.
func TestSending(t *testing.T) {
	t.Parallel()
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
