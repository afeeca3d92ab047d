// Package demo fills a throwaway instance with sample people and sessions that
// look like life.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lastseen/app"
	"lastseen/app/useragent"
	"lastseen/db"
	"lastseen/geoip/sample"

	"github.com/google/uuid"
)

// Account is whom to sign in as, with an API key. The password and the key are
// other ones each time, so that no demo left running can be walked into.
func Account() (username, password, token string) {
	return "ada", rand.Text()[:12], "lastseen_" + rand.Text()
}

// WriteDatabases puts the sample databases into a directory.
func WriteDatabases(dir string) (city, asn string, err error) {
	city, asn = filepath.Join(dir, "sample-city.mmdb"), filepath.Join(dir, "sample-asn.mmdb")
	if err := os.WriteFile(city, sample.City, 0o600); err != nil {
		return "", "", err
	}
	return city, asn, os.WriteFile(asn, sample.ASN, 0o600)
}

// people are the sample users beside the one that may sign in; their groups
// are by turns.
var people = []string{
	"Grace Hopper", "Alan Turing", "Katherine Johnson", "Edsger Dijkstra", "Barbara Liskov", "Donald Knuth",
	"Radia Perlman", "Dennis Ritchie", "Hedy Lamarr", "Claude Shannon", "Margaret Hamilton", "Konrad Zuse",
	"Annie Easley", "Niklaus Wirth", "Joan Clarke", "John Backus", "Mary Jackson", "Tony Hoare",
	"Frances Allen", "Ken Thompson", "Karen Jones", "Leslie Lamport", "Jean Bartik", "Butler Lampson",
	"Sophie Wilson", "Robin Milner", "Lynn Conway", "Peter Naur", "Adele Goldberg", "Kristen Nygaard",
}

var groups = []string{"family", "friends", "work", "media", "admins"}

// clients are devices, with how many in a hundred sessions are on one, and the
// networks they are used on.
var clients = []struct {
	weight int
	uses   []string
	agents []string
}{
	{34, []string{"mobile", "mobile", "home", "home", "office"}, []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 15; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Android 14; Mobile; rv:141.0) Gecko/141.0 Firefox/141.0",
		"Mozilla/5.0 (Linux; Android 13; SM-A546B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
	}},
	{38, []string{"home", "home", "office", "office", "vpn"}, []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36",
	}},
	{10, []string{"home"}, []string{
		"Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
	}},
	{7, []string{"home"}, []string{
		"Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
		"Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
		"Mozilla/5.0 (Linux; Android 12; BRAVIA 4K VH2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
	}},
	{11, []string{"hosting", "hosting", "home"}, []string{
		"curl/8.14.1", "python-requests/2.32.3", "Go-http-client/2.0", "Wget/1.24.5", "",
	}},
}

// Fill stores the sample people and their sessions, living and ended, as they
// would be at now. The same now gives the same data but for names of rows.
func Fill(ctx context.Context, store app.Store, agents *useragent.Parser, now time.Time) error {
	networks, err := sample.Networks()
	if err != nil {
		return err
	}
	f := filler{store: store, agents: agents, now: now.UTC().Truncate(time.Second), random: mathrand.New(mathrand.NewPCG(7, 7)),
		networks: map[string][]sample.Network{}, reaches: map[db.SessionHost]db.Reach{}}
	f.past = f.newPast()
	for _, n := range networks {
		f.networks[n.Use] = append(f.networks[n.Use], n)
	}

	ada, err := store.UserByName(ctx, "ada")
	if err != nil {
		return err
	}
	ada.Name, ada.Email = "Ada Lovelace", "ada@home.example"
	if err := store.UpdateUser(ctx, ada, f.now, false, f.event(db.ModelUpdated, ada, f.now, netip.Addr{})); err != nil {
		return err
	}
	for i, name := range people {
		if err := f.person(ctx, i, name); err != nil {
			return err
		}
	}
	if f.grace, err = store.UserByName(ctx, "grace"); err != nil {
		return err
	}
	home := f.networks["home"][0]
	if err := f.act(ctx, f.address(home)); err != nil {
		return err
	}
	own := []device{newDevice(1, 0), newDevice(0, 0), newDevice(2, 0)}
	if err := f.session(ctx, ada, home, own[0], 30*24*3600, true); err != nil {
		return err
	}
	for i := range 5 {
		if err := f.session(ctx, ada, home, own[i%len(own)], (10-2*i)*24*3600, false); err != nil {
			return err
		}
	}
	if err := f.name(ctx, ada, "tablet", "Kitchen tablet"); err != nil {
		return err
	}
	for _, name := range people {
		if err := f.life(ctx, name); err != nil {
			return err
		}
	}
	return f.recordReaches(ctx)
}

// life is what somebody has done in two years.
func (f *filler) life(ctx context.Context, name string) error {
	user, err := f.store.UserByName(ctx, username(name))
	if err != nil || !user.Active {
		return err
	}
	home := f.networks["home"][f.random.IntN(len(f.networks["home"]))]
	own := f.devices(2 + f.random.IntN(4))
	signIns := map[int]bool{} // how many seconds ago, and whether it is over
	for range 4 + f.random.IntN(8) {
		signIns[f.random.IntN(13*24*3600)] = false
	}
	for range f.random.IntN(4) {
		// Some ended long ago: more than a year is kept nowhere, but was.
		signIns[f.random.IntN(700*24*3600)] = true
	}
	for _, ago := range slices.Backward(slices.Sorted(maps.Keys(signIns))) {
		if err := f.session(ctx, user, home, own[f.random.IntN(len(own))], ago, signIns[ago]); err != nil {
			return err
		}
	}
	for range f.random.IntN(3) {
		if err := f.failure(ctx, user); err != nil {
			return err
		}
	}
	return nil
}

type filler struct {
	store    app.Store
	agents   *useragent.Parser
	now      time.Time
	random   *mathrand.Rand
	networks map[string][]sample.Network // by use
	reaches  map[db.SessionHost]db.Reach

	past  *app.App // at clock
	clock time.Time
	grace db.User // who is in charge, too
}

func (f *filler) event(action db.Action, user db.User, at time.Time, ip netip.Addr) db.Event {
	return db.Event{Created: at, Action: action, ActorID: user.ID, Actor: user.Username, SubjectID: user.ID, IP: ip,
		Context: map[string]any{"auth_method": "password"}}
}

// username is a person's.
func username(name string) string {
	first, _, _ := strings.Cut(name, " ")
	return db.Fold(first)
}

// person is a user who cannot sign in: nobody knows a password for the hash.
func (f *filler) person(ctx context.Context, i int, name string) error {
	created := f.now.Add(-time.Duration(50+f.random.IntN(900)) * 24 * time.Hour)
	username := username(name)
	user := db.User{
		UUID: uuid.New(), Username: username, Name: name, Email: username + "@home.example", Active: true, Superuser: i == 0,
		Created: created, Updated: created, PasswordChanged: created,
		Groups: []db.Group{{Name: groups[i%len(groups)]}, {Name: groups[(i*i+1)%len(groups)]}},
	}
	_, err := f.store.CreateUser(ctx, user, false, func(u db.User) db.Event { return f.event(db.ModelCreated, u, created, netip.Addr{}) })
	return err
}

// A device is one of somebody's, on which they sign in again and again.
type device struct {
	uses   []string // the networks it is used on
	agent  string
	script bool
	token  []byte // the hash of what its cookie holds; a script has none
}

func newDevice(kind, agent int) device {
	c := clients[kind]
	d := device{c.uses, c.agents[agent], kind == len(clients)-1, nil}
	if !d.script {
		token := sha256.Sum256([]byte(rand.Text()))
		d.token = token[:]
	}
	return d
}

// devices draws so many, each of another agent.
func (f *filler) devices(n int) []device {
	var own []device
	for len(own) < n {
		kind, pick := 0, f.random.IntN(100)
		for pick >= clients[kind].weight {
			pick -= clients[kind].weight
			kind++
		}
		d := newDevice(kind, f.random.IntN(len(clients[kind].agents)))
		if slices.ContainsFunc(own, func(o device) bool { return o.agent == d.agent }) {
			continue
		}
		own = append(own, d)
	}
	return own
}

// name gives somebody's device of a kind a name.
func (f *filler) name(ctx context.Context, user db.User, kind, name string) error {
	devices, err := f.store.Devices(ctx, user.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(devices, func(d db.Device) bool { return d.Kind == kind })
	f.clock = devices[i].LastLogin.Add(time.Minute)
	return f.past.NameDevice(ctx, app.Caller{User: &user}, devices[i].UUID, name)
}

// session signs somebody who lives at home in, so many seconds ago; one that is
// over has run out or was signed out some time after.
func (f *filler) session(ctx context.Context, user db.User, home sample.Network, d device, ago int, over bool) error {
	created := f.now.Add(-time.Duration(ago)*time.Second - time.Minute)
	used := created.Add(time.Duration(f.random.Int64N(int64(f.now.Sub(created)))))
	if over && used.After(created.Add(13*24*time.Hour)) {
		used = created.Add(time.Duration(f.random.Int64N(int64(13 * 24 * time.Hour))))
	}
	ends := created.Add(14 * 24 * time.Hour)
	sess := db.Session{
		UUID: uuid.New(), UserID: user.ID, IP: f.address(f.network(d.uses[f.random.IntN(len(d.uses))], home)), Method: "password", Remember: !d.script,
		Agent:   &db.Agent{String: d.agent, Definitions: f.agents.Version(), AgentParts: db.AgentParts(f.agents.Parse(d.agent))},
		Created: created, LastUsed: used, Ends: ends, Expires: ends,
	}
	login := f.event(db.Login, user, created, sess.IP)
	login.Context["session"], login.Context["http_request"] = sess.UUID.String(), map[string]any{"user_agent": d.agent}
	secret := sha256.Sum256([]byte(rand.Text())) // nobody holds its token
	sess, err := f.store.CreateSession(ctx, db.SignIn{User: user, Session: sess, TokenHash: secret[:], Device: d.token, Network: sess.IP.String(), Event: login})
	if err != nil {
		return err
	}
	if err := f.reach(ctx, user, sess); err != nil || !over {
		return err
	}
	if f.random.IntN(2) == 0 && ends.Before(f.now) {
		_, err = f.store.ExpireSessions(ctx, f.now, 1)
		return err
	}
	if f.random.IntN(3) == 0 {
		f.clock = used
		return f.past.RevokeSession(ctx, app.Caller{User: &f.grace}, sess.UUID)
	}
	return f.store.EndSession(ctx, db.Use{UUID: sess.UUID}, db.SignedOut, f.event(db.Logout, user, used, sess.IP))
}

// network is one of a use near home, or, now and then, on a journey.
func (f *filler) network(use string, home sample.Network) sample.Network {
	of := f.networks[use]
	if f.random.IntN(12) == 0 {
		return of[f.random.IntN(len(of))]
	}
	if use == "home" {
		return home
	}
	for _, near := range []func(sample.Network) bool{
		func(n sample.Network) bool { return n.Country == home.Country },
		func(n sample.Network) bool { return n.Continent == home.Continent },
	} {
		for _, i := range f.random.Perm(len(of)) {
			if near(of[i]) {
				return of[i]
			}
		}
	}
	return of[f.random.IntN(len(of))]
}

// address draws one from a network; at home one is, now and then, where the server is.
func (f *filler) address(n sample.Network) netip.Addr {
	if n.Use == "home" && f.random.IntN(8) == 0 {
		return netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + f.random.IntN(200))})
	}
	bytes := n.Prefix.Addr().AsSlice()
	for bit := n.Prefix.Bits(); bit < n.Prefix.Addr().BitLen(); bit++ {
		if f.random.IntN(2) == 1 {
			bytes[bit/8] |= 0x80 >> (bit % 8)
		}
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// failure is a wrong password some time in the last month.
func (f *filler) failure(ctx context.Context, user db.User) error {
	at := f.now.Add(-time.Duration(1+f.random.IntN(28*24)) * time.Hour)
	ip := f.address(f.network("hosting", sample.Network{}))
	event := f.event(db.LoginFailed, user, at, ip)
	event.Context = map[string]any{"username": user.Username, "stage": "password", "http_request": map[string]any{"user_agent": "curl/8.14.1"}}
	return f.store.LoginFailed(ctx, user.Username, ip.String(), event, db.LoginLimits{})
}
