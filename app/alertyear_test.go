package app

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lastseen/app/alert"
	"lastseen/db"
	"lastseen/geoip"
	"lastseen/geoip/sample"

	"github.com/google/uuid"
)

// A year of one household: six people on twelve devices, of which nine keep their cookies
// and browsers are updated each month; addresses of a home, of its network, and of a
// carrier; two holidays abroad; two new telephones; three stolen passwords. Each theft is
// told of, and a person hears of what was none at most once in three months.
func TestAYearOfAlerts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, advance := clocked(t, dir)
	city, asn := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb")
	for path, content := range map[string][]byte{city: sample.City, asn: sample.ASN} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.geo = geoip.Open(city, asn, slog.New(slog.DiscardHandler))
	defer a.geo.Close()
	random := rand.New(rand.NewPCG(20, 26))

	// The agents, by the month since the start.
	agents := map[string]func(month int) string{
		"firefox/linux": func(m int) string {
			return fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%[1]d.0) Gecko/20100101 Firefox/%[1]d.0", 140+m)
		},
		"chrome/windows": func(m int) string {
			return fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", 138+m)
		},
		"edge/windows": func(m int) string {
			return fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%[1]d.0.0.0 Safari/537.36 Edg/%[1]d.0.0.0", 138+m)
		},
		"safari/mac": func(m int) string {
			return fmt.Sprintf("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%d.%d Safari/605.1.15", 18+m/10, m%10)
		},
		"safari/iphone": func(m int) string {
			return fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS %[1]d_%[2]d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%[1]d.%[2]d Mobile/15E148 Safari/604.1", 18+m/10, m%10)
		},
		"safari/ipad": func(m int) string {
			return fmt.Sprintf("Mozilla/5.0 (iPad; CPU OS %[1]d_%[2]d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%[1]d.%[2]d Mobile/15E148 Safari/604.1", 18+m/10, m%10)
		},
		"chrome/android": func(m int) string {
			return fmt.Sprintf("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Mobile Safari/537.36", 138+m)
		},
	}
	type device struct {
		owner, kind string
		phone       bool
		forgets     bool // its cookies, whenever it is closed
		token, key  string
	}
	devices := []*device{
		{owner: "ada", kind: "firefox/linux"}, {owner: "ada", kind: "safari/iphone", phone: true},
		{owner: "grace", kind: "safari/mac"}, {owner: "grace", kind: "safari/iphone", phone: true},
		{owner: "otto", kind: "chrome/windows", forgets: true}, {owner: "otto", kind: "safari/iphone", phone: true},
		{owner: "erika", kind: "edge/windows"}, {owner: "erika", kind: "chrome/android", phone: true, forgets: true},
		{owner: "linus", kind: "firefox/linux", forgets: true}, {owner: "linus", kind: "chrome/android", phone: true},
		{owner: "mary", kind: "safari/ipad"}, {owner: "mary", kind: "chrome/android", phone: true},
	}
	users := map[string]db.User{}
	for _, d := range devices {
		if _, ok := users[d.owner]; ok {
			continue
		}
		u := db.User{UUID: uuid.New(), Username: d.owner, PasswordHash: "x", Active: true, Created: a.now()}
		u, err := a.store.CreateUser(t.Context(), u, false, func(db.User) db.Event { return a.event(Operator.Actor(), db.ModelCreated, 0, nil) })
		if err != nil {
			t.Fatal(err)
		}
		users[d.owner] = u
	}
	within := func(prefix string) netip.Addr {
		p := netip.MustParsePrefix(prefix)
		b := p.Addr().As4()
		b[3] = byte(1 + random.IntN(250))
		if p.Bits() <= 16 {
			b[2] = byte(random.IntN(250))
		}
		return netip.AddrFrom4(b)
	}
	// told are the reasons of what a sign-in is told for.
	signInAs := func(user, agent, key string, ip netip.Addr, held ...string) (token string, told []alert.Reason) {
		t.Helper()
		token, _, err := a.startSession(t.Context(), entry{user: users[user], proven: ByPassword, held: held, client: Client{IP: ip, Agent: agent, Device: key}})
		if err != nil {
			t.Fatal(err)
		}
		stored, err := a.store.NewAlerts(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stored {
			var f alert.Facts
			if err := json.Unmarshal(s.Content, &f); err != nil || f.User != user {
				t.Errorf("got %s, %v", s.Content, err)
			}
			told = append(told, f.Reasons...)
		}
		if _, err := a.store.PlanAlerts(t.Context(), stored, func(db.Alert, int) ([]string, bool) { return nil, false }); err != nil {
			t.Fatal(err)
		}
		return token, told
	}

	abroad := func(owner string, day int) string {
		switch { // a family's fortnight in Spain, and ten days in Germany of two others
		case day >= 190 && day < 204 && (owner == "ada" || owner == "grace" || owner == "mary"):
			return "83.32.0.0/13"
		case day >= 290 && day < 300 && (owner == "erika" || owner == "linus"):
			return "109.40.0.0/16"
		}
		return ""
	}
	thefts := map[int]struct{ user, kind, prefix, want string }{
		97:  {"mary", "chrome/windows", "73.0.0.0/9", "[new_device new_country]"},
		203: {"otto", "safari/iphone", "3.120.0.0/14", "[new_country]"}, // the browser that he has too
		310: {"ada", "chrome/android", "92.40.0.0/16", "[new_device]"},  // in her own country
	}
	const upgraded, year = 30, 365 // a month's sessions are from before there were alerts
	signIns := 0
	falseOf := map[string][]int{} // the days, by person
	for day := range upgraded + year {
		switch day - upgraded { // new telephones: one of the same kind, one of another
		case 60:
			*devices[3] = device{owner: "grace", kind: "safari/iphone", phone: true}
		case 150:
			*devices[9] = device{owner: "linus", kind: "safari/iphone", phone: true}
		}
		for i, d := range devices {
			ip := within("81.2.69.0/24") // the home's, which changes
			switch place := abroad(d.owner, day-upgraded); {
			case place != "" && !d.phone:
				continue // left at home
			case place != "":
				ip = within(place)
			case d.phone && random.IntN(2) == 0:
				ip = within("92.40.0.0/16")
			case random.IntN(3) == 0:
				ip = within("192.168.1.0/24")
			}
			if d.key == "" || d.forgets {
				d.key = ""
				if day >= upgraded {
					d.key = newSecret()
				}
			}
			agent := agents[d.kind]((day + i) / 30)
			if _, err := a.Authenticate(t.Context(), []string{d.token}, Client{IP: ip, Agent: agent}); err == nil && !(d.forgets && random.IntN(5) == 0) {
				continue // signed in still, and used
			}
			signIns++
			var told []alert.Reason
			if d.token, told = signInAs(d.owner, agent, d.key, ip, d.token); len(told) > 0 && day >= upgraded {
				falseOf[d.owner] = append(falseOf[d.owner], day-upgraded)
				t.Logf("day %d: %s on %s from %s: %v", day-upgraded, d.owner, d.kind, ip, told)
			}
		}
		if theft, ok := thefts[day-upgraded]; ok {
			if _, told := signInAs(theft.user, agents[theft.kind](day/30), newSecret(), within(theft.prefix)); fmt.Sprint(told) != theft.want {
				t.Errorf("the theft from %s on day %d: told %v, want %s", theft.user, day-upgraded, told, theft.want)
			}
		}
		if err := a.live.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.expire(t.Context(), a.now()); err != nil {
			t.Fatal(err)
		}
		if day%7 == 0 {
			if err := a.purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		advance(24 * time.Hour)
	}
	total := 0
	for person, days := range falseOf {
		total += len(days)
		for i := 1; i < len(days); i++ {
			if days[i]-days[i-1] < 91 {
				t.Errorf("%s was told of nothing on days %d and %d", person, days[i-1], days[i])
			}
		}
	}
	t.Logf("%d sign-ins, three thefts, %d alerts of what was none: %v", signIns, total, falseOf)
}
