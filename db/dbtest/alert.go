package dbtest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/db"

	"github.com/google/uuid"
)

// alertOf is one of an account's.
func alertOf(user int64, at time.Time) *db.Alert {
	return &db.Alert{UUID: uuid.New(), Type: "sign_in", UserID: user, Created: at, Number: 1, Content: []byte(`{}`)}
}

func summaryOf(user int64, n int, at time.Time) db.Alert {
	return db.Alert{UUID: uuid.New(), Type: db.SummaryAlert, UserID: user, Created: at, Number: n, Content: []byte(`{}`)}
}

// tell stores an alert with an event.
func tell(t *testing.T, s Store, a *db.Alert) {
	t.Helper()
	e := Event(db.Login)
	e.Alert = a
	if err := s.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// plan sends all that is new to these targets, but what is beyond five an hour, and says
// how much that was.
func plan(t *testing.T, s Store, targets ...string) int {
	t.Helper()
	n, err := s.PlanAlerts(t.Context(), fresh(t, s), func(a db.Alert, sent int) ([]string, bool) {
		return targets, sent >= 5 && a.Type != db.SummaryAlert
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func fresh(t *testing.T, s Store) []db.Alert {
	t.Helper()
	found, err := s.NewAlerts(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func claim(t *testing.T, s Store, now time.Time, targets, each int, busy ...string) []db.Delivery {
	t.Helper()
	claimed, err := s.ClaimDeliveries(t.Context(), now, now.Add(30*time.Second), busy, targets, each)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

// to are the targets of deliveries, with how many there are.
func to(deliveries []db.Delivery) map[string]int {
	all := map[string]int{}
	for _, d := range deliveries {
		all[d.Target]++
	}
	return all
}

func work(t *testing.T, s Store, now time.Time) db.AlertWork {
	t.Helper()
	w, err := s.AlertWork(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// An alert is there with its event, and without it there is none.
func (on suite) TestAlertWithItsEvent(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	a := alertOf(ada.ID, Start)
	tell(t, s, a)
	found, err := s.NewAlerts(t.Context(), 10)
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v", found, err)
	}
	a.ID = found[0].ID
	if fmt.Sprint(found[0]) != fmt.Sprint(*a) {
		t.Errorf("got %v, want %v", found[0], *a)
	}
	e := Event(db.Login)
	e.Alert = alertOf(ada.ID, Start)
	ada.PasswordHash = "another"
	sess := db.Session{UUID: uuid.New(), UserID: ada.ID, Agent: Agent("x"), Created: Start, LastUsed: Start, Ends: Start, Expires: Start}
	if _, err := s.CreateSession(t.Context(), db.SignIn{User: ada, Session: sess, TokenHash: []byte("x"), Event: e}); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a sign-in after the password changed: got %v", err)
	}
	if w := work(t, s, Start); w.New != 1 {
		t.Errorf("got %+v, want no alert of a sign-in that was none", w)
	}
}

// Five an hour of an account, one summary of the others, and the other accounts as ever.
func (on suite) TestAlertsHeld(t *testing.T) {
	s := on.open(t)
	ada, bob := CreateUser(t, s, "ada", true), CreateUser(t, s, "bob", true)
	var sums []string
	sumUp := func(now time.Time) string {
		t.Helper()
		sums = nil
		err := s.SumUp(t.Context(), now.Add(-30*time.Second), now.Add(-15*time.Minute), now.Add(-time.Hour), func(user int64, n int) db.Alert {
			sums = append(sums, fmt.Sprint(user == ada.ID, n))
			return summaryOf(user, n, now)
		})
		if err != nil {
			t.Fatal(err)
		}
		plan(t, s, "target")
		return fmt.Sprint(sums)
	}
	for i := range 8 {
		tell(t, s, alertOf(ada.ID, Start.Add(time.Duration(i)*time.Second)))
	}
	tell(t, s, alertOf(bob.ID, Start))
	plan(t, s, "target")
	if w := work(t, s, Start); w != (db.AlertWork{Held: 3, Deliveries: 6, Due: 2}) {
		t.Errorf("got %+v", w)
	}
	if held, err := s.HeldAlerts(t.Context()); err != nil || !slices.Equal(held, []int64{ada.ID}) {
		t.Errorf("got %v, %v", held, err)
	}
	for _, step := range []struct {
		at   time.Duration
		tell bool
		want string
	}{
		{at: 10 * time.Second, want: "[]"},       // more may come
		{at: 40 * time.Second, want: "[true 3]"}, // none came
		{at: 41 * time.Second, want: "[]"},
		{at: 10 * time.Minute, tell: true, want: "[]"},
		{at: 11 * time.Minute, want: "[]"}, // there was a summary in this hour
		{at: 61 * time.Minute, want: "[true 1]"},
		{at: 62 * time.Minute, tell: true, want: "[]"}, // the first five are over an hour ago
	} {
		if step.tell {
			tell(t, s, alertOf(ada.ID, Start.Add(step.at)))
			plan(t, s, "target")
		}
		if got := sumUp(Start.Add(step.at)); got != step.want {
			t.Errorf("after %v: got %s, want %s", step.at, got, step.want)
		}
	}
	if w := work(t, s, Start.Add(2*time.Hour)); w != (db.AlertWork{Deliveries: 9, Due: 9}) {
		t.Errorf("got %+v", w)
	}
	// One each 20 seconds, for long: no pause is waited for.
	late := Start.Add(24 * time.Hour)
	for i := range 50 {
		tell(t, s, alertOf(bob.ID, late.Add(time.Duration(i)*20*time.Second)))
	}
	plan(t, s, "target")
	if got := sumUp(late.Add(16*time.Minute + 45*time.Second)); got != "[false 45]" {
		t.Errorf("got %s, want those that wait for a quarter of an hour summed up", got)
	}
}

func (on suite) TestDeliveries(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	for i := range 30 {
		tell(t, s, alertOf(ada.ID+int64(i), Start))
	}
	plan(t, s, "a", "b", "c")
	now := Start.Add(time.Second)
	first := claim(t, s, now, 2, 20)
	if got := to(first); fmt.Sprint(got) != "map[a:20 b:20]" {
		t.Fatalf("got %v, want twenty to each of two", got)
	}
	if !slices.IsSortedFunc(first, func(x, y db.Delivery) int { return int(x.Alert.ID - y.Alert.ID) }) {
		t.Error("got them in another order than the oldest first")
	}
	if got := to(claim(t, s, now, 10, 20, "c")); fmt.Sprint(got) != "map[a:10 b:10]" {
		t.Errorf("got %v, want what nobody tries, and none of a busy target's", got)
	}
	if got := to(claim(t, s, now.Add(29*time.Second), 10, 100)); fmt.Sprint(got) != "map[c:30]" {
		t.Errorf("got %v, want none that are tried", got)
	}

	at := now.Add(5 * time.Second)
	var as []db.Delivery
	for _, d := range first {
		if d.Target == "a" {
			d.Due = at.Add(time.Minute)
			as = append(as, d)
		}
	}
	as[19].Due = time.Time{}
	problem := db.AlertProblem{Target: "a", Created: at, Problem: "answered 500"}
	if err := s.NotDelivered(t.Context(), as, problem); err != nil {
		t.Fatal(err)
	}
	if problems, err := s.AlertProblems(t.Context()); err != nil || !slices.Equal(problems, []db.AlertProblem{problem}) {
		t.Errorf("got %v, %v", problems, err)
	}
	if got := to(claim(t, s, at.Add(59*time.Second), 10, 100, "b", "c")); fmt.Sprint(got) != "map[a:10]" {
		t.Errorf("got %v, want those that were not tried", got)
	}
	again := claim(t, s, at.Add(time.Minute), 10, 100, "b", "c")
	if got := to(again); fmt.Sprint(got) != "map[a:19]" || again[0].Attempts != 1 {
		t.Errorf("got %v, want those that failed, once, without the one that was given up", got)
	}
	// What gets through brings the rest on, but what another process tries.
	for i := range again {
		again[i].Due = at.Add(time.Hour)
	}
	if err := s.NotDelivered(t.Context(), again[:18], problem); err != nil {
		t.Fatal(err)
	}
	late := at.Add(2 * time.Minute)
	if err := s.Delivered(t.Context(), again[18], late); err != nil {
		t.Fatal(err)
	}
	if got := to(claim(t, s, late, 10, 100, "b", "c")); fmt.Sprint(got) != "map[a:28]" {
		t.Errorf("got %v, want all the rest", got)
	}
	if problems, err := s.AlertProblems(t.Context()); err != nil || len(problems) != 0 {
		t.Errorf("got %v, %v", problems, err)
	}
}

// However many claim, each delivery is claimed once, and each alert planned once.
func (on suite) TestDeliveriesOnce(t *testing.T) {
	s := on.open(t)
	for i := range 40 {
		tell(t, s, alertOf(int64(i+1), Start))
	}
	var mu sync.Mutex
	times := map[string]int{}
	found := fresh(t, s)
	tell(t, s, alertOf(100, Start)) // which is nobody's to plan: none of them has looked at it
	var planned atomic.Int32
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			n, err := s.PlanAlerts(t.Context(), found[5*i:5*i+25], func(db.Alert, int) ([]string, bool) { return []string{"a", "b"}, false })
			if err != nil {
				t.Error(err)
			}
			planned.Add(int32(n))
			for range 8 {
				claimed, err := s.ClaimDeliveries(t.Context(), Start, Start.Add(time.Minute), nil, 2, 5)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, d := range claimed {
					times[d.Target+strconv.FormatInt(d.Alert.ID, 10)]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for d, n := range times {
		if n != 1 {
			t.Errorf("%s was claimed %d times", d, n)
		}
	}
	if n := planned.Load(); len(times) != 80 || n != 40 || len(fresh(t, s)) != 1 {
		t.Errorf("got %d deliveries of %d alerts, want 80 of 40, and one that is new", len(times), n)
	}
}

func (on suite) TestDeliveriesBounded(t *testing.T) {
	s := on.open(t)
	for i := range 101 {
		tell(t, s, alertOf(int64(i+1), Start))
	}
	plan(t, s, "full")
	tell(t, s, alertOf(500, Start))
	plan(t, s, "full", "other")
	if err := s.BoundDeliveries(t.Context(), 100, func(n int) db.Alert { return summaryOf(0, n, Start.Add(time.Minute)) }); err != nil {
		t.Fatal(err)
	}
	got := claim(t, s, Start.Add(time.Hour), 10, 1000)
	if fmt.Sprint(to(got)) != "map[full:52 other:1]" {
		t.Fatalf("got %v, want half, and the summary of the older half", to(got))
	}
	sum := got[len(got)-1].Alert
	if sum.Type != db.SummaryAlert || sum.Number != 51 || sum.UserID != 0 {
		t.Errorf("got %+v, want a summary of 51", sum)
	}
	// Of what is summed up again nothing is lost.
	if err := s.BoundDeliveries(t.Context(), 10, func(n int) db.Alert { return summaryOf(0, n, Start) }); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, d := range claim(t, s, Start.Add(2*time.Hour), 10, 1000, "other") {
		total += d.Alert.Number
	}
	if total != 102 {
		t.Errorf("those that wait tell of %d alerts, want 102", total)
	}
}

func (on suite) TestAlertTargets(t *testing.T) {
	s := on.open(t)
	create := func(types string) db.AlertTarget {
		t.Helper()
		target, err := s.CreateAlertTarget(t.Context(), db.AlertTarget{Types: types, Created: Start},
			func(id int64) ([]byte, error) { return []byte("sealed for " + strconv.FormatInt(id, 10)), nil },
			func(db.AlertTarget) db.Event { return Event(db.ModelCreated) })
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	first, second := create(""), create("sign_in,key_created")
	broken := errors.New("no key")
	_, err := s.CreateAlertTarget(t.Context(), db.AlertTarget{Created: Start}, func(int64) ([]byte, error) { return nil, broken }, func(db.AlertTarget) db.Event { return Event(db.ModelCreated) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if all, err := s.AlertTargets(t.Context()); err != nil || len(all) != 2 || string(all[0].URL) != "sealed for "+strconv.FormatInt(first.ID, 10) || all[1].Types != "sign_in,key_created" {
		t.Errorf("got %v, %v", all, err)
	}
	if err := s.SetAlertTypes(t.Context(), second.ID, "", Event(db.ModelUpdated)); err != nil {
		t.Fatal(err)
	}
	tell(t, s, alertOf(1, Start))
	name := strconv.FormatInt(second.ID, 10)
	plan(t, s, name, "other")
	d := claim(t, s, Start, 1, 1, "other")
	if err := s.NotDelivered(t.Context(), d, db.AlertProblem{Target: name, Created: Start, Problem: "dead"}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAlertTarget(t.Context(), second.ID, name, Event(db.ModelDeleted)); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"choose": s.SetAlertTypes(t.Context(), second.ID, "", Event(db.ModelUpdated)),
		"delete": s.DeleteAlertTarget(t.Context(), second.ID, name, Event(db.ModelDeleted)),
	} {
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s one that is gone: got %v", what, err)
		}
	}
	if problems, err := s.AlertProblems(t.Context()); err != nil || len(problems) != 0 {
		t.Errorf("got %v, %v", problems, err)
	}
	if w := work(t, s, Start); w.Deliveries != 1 {
		t.Errorf("got %+v, want the other's alone", w)
	}
	if third := create(""); third.ID <= second.ID {
		t.Errorf("got %d again, which deliveries may wait for", third.ID)
	}
}

func (on suite) TestAlertChoices(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	for _, want := range []db.AlertChoice{{Mail: true}, {Mail: false}, {Mail: true, Types: "sign_in"}, {}} {
		if want != (db.AlertChoice{Mail: true}) {
			if err := s.SetAlertChoice(t.Context(), ada.ID, want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.AlertChoice(t.Context(), ada.ID); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// A lock is told of once, until there is another one.
func (on suite) TestLockIsToldOfOnce(t *testing.T) {
	s := on.open(t)
	ada := CreateUser(t, s, "ada", true)
	limits := db.LoginLimits{Account: 10, Lock: time.Hour}
	told := 0
	fail := func(from, n int, every time.Duration, at time.Time) {
		t.Helper()
		for i := range n {
			e := Event(db.LoginFailed)
			e.Created = at.Add(time.Duration(i) * every)
			e.Alert = alertOf(ada.ID, e.Created)
			e.Alert.Type = "account_locked"
			if err := s.LoginFailed(t.Context(), "ada", fmt.Sprintf("192.0.2.%d/32", from+i), e, limits); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(when string, want int) {
		t.Helper()
		if told += plan(t, s); told != want {
			t.Errorf("%s: told %d times, want %d", when, told, want)
		}
	}
	fail(0, 9, time.Second, Start)
	check("below the limit", 0)
	fail(9, 1, 0, Start.Add(10*time.Second))
	check("at the limit", 1)
	fail(10, 30, time.Minute, Start.Add(20*time.Second))
	check("beyond it", 1)
	if err := s.UnlockUser(t.Context(), "ada", Event(db.ModelUpdated)); err != nil {
		t.Fatal(err)
	}
	fail(0, 9, time.Second, Start.Add(31*time.Minute))
	check("unlocked", 1)
	fail(9, 5, time.Second, Start.Add(32*time.Minute))
	check("locked again", 2)
	fail(0, 12, time.Second, Start.Add(5*time.Hour))
	check("locked much later", 3)
	e := Event(db.LoginFailed) // of nobody's account
	for range 12 {
		if err := s.LoginFailed(t.Context(), "nobody", "192.0.2.1/32", e, limits); err != nil {
			t.Fatal(err)
		}
	}
	check("an account that is none", 3)
}
