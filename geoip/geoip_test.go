package geoip

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastseen/geoip/sample"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// files are a database of each kind in a folder of their own, and the log of
// whoever has opened them.
type files struct {
	t         testing.TB
	city, asn string

	mu  sync.Mutex
	log bytes.Buffer
}

// newFiles writes both files; nil means none.
func newFiles(t testing.TB, city, asn []byte) *files {
	dir := t.TempDir()
	f := &files{t: t, city: filepath.Join(dir, "city.mmdb"), asn: filepath.Join(dir, "asn.mmdb")}
	for path, content := range map[string][]byte{f.city: city, f.asn: asn} {
		if content != nil {
			f.overwrite(path, content)
		}
	}
	return f
}

func (f *files) open() *DB {
	db := Open(f.city, f.asn, slog.New(slog.NewTextHandler(f, nil)))
	f.t.Cleanup(db.Close)
	return db
}

func (f *files) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(line)
}

// logged is what was logged since the last call.
func (f *files) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.log.Reset()
	return f.log.String()
}

// overwrite changes a file in place, as cp does.
func (f *files) overwrite(path string, content []byte) {
	f.t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// replace renames a new file over the old one, as mv and geoipupdate do.
func (f *files) replace(path string, content []byte) {
	f.t.Helper()
	f.overwrite(path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

// mmdb is a file with these records by prefix.
func mmdb(t testing.TB, options mmdbwriter.Options, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(options)
	if err != nil {
		t.Fatal(err)
	}
	for prefix, record := range records {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// named is a file that knows one city.
func named(t testing.TB, city string) []byte {
	return mmdb(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City"}, map[string]mmdbtype.Map{
		"81.2.69.0/24": {"city": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(city)}}},
	})
}

var london = netip.MustParseAddr("81.2.69.142")

// city is the city that is known for london.
func city(db *DB) string {
	if p := db.Lookup(london).Place; p != nil {
		return p.City
	}
	return ""
}

func TestLookup(t *testing.T) {
	db := newFiles(t, sample.City, sample.ASN).open()
	table, err := sample.Networks()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range table {
		got := db.Lookup(n.Prefix.Addr().Next())
		wantPlace := centred(Place{Continent: n.Continent, Country: n.Country, City: n.City, Lat: n.Lat, Long: n.Long, Located: n.Located, AccuracyKm: n.AccuracyKm})
		wantNetwork := Network{ASN: n.ASN, Org: n.Org, Prefix: n.Prefix}
		if got.Place == nil || *got.Place != wantPlace {
			t.Errorf("%v: got %+v, want %+v", n.Prefix, got.Place, wantPlace)
		}
		if got.Network == nil || *got.Network != wantNetwork {
			t.Errorf("%v: got %+v, want %+v", n.Prefix, got.Network, wantNetwork)
		}
	}

	mapped := db.Lookup(netip.MustParseAddr("::ffff:81.2.69.142")).Network
	if mapped == nil || mapped.Prefix.String() != "81.2.69.0/24" {
		t.Errorf("IPv4-mapped: got %+v, want 81.2.69.0/24", mapped)
	}
	if got := db.Lookup(netip.MustParseAddr("2001:218::1%eth0")).Network; got == nil || got.ASN != 2914 {
		t.Errorf("with a zone: got %+v, want AS2914", got)
	}
	for _, ip := range []netip.Addr{{}, netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("10.0.0.1")} {
		if got := db.Lookup(ip); got != (Location{}) {
			t.Errorf("%v: got %+v, want nothing", ip, got)
		}
	}
	db.Close()
	db.Reload()
	if got := db.Lookup(london); got != (Location{}) {
		t.Errorf("after Close: got %+v, want nothing", got)
	}
}

func TestBadFiles(t *testing.T) {
	tests := []struct {
		name    string
		content []byte
		state   State
		problem string
	}{
		{"missing", nil, None, "does not exist"},
		{"empty", []byte{}, Failed, "file is empty"},
		{"text", []byte("not a database"), Failed, "invalid MaxMind DB file"},
		{"cut short", sample.City[:len(sample.City)/2], Failed, "invalid MaxMind DB file"},
		{"cut in the front", sample.City[5000:], Failed, "invalid metadata"},
		{"of the other kind", sample.ASN, Failed, `holds no places (its type is "Lastseen-Sample-ASN")`},
		{"without records", mmdb(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City"}, nil), Failed, "holds no places"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFiles(t, tt.content, sample.ASN)
			db := f.open()
			got := db.Files()[0]
			if got.State != tt.state || !strings.Contains(got.Error, tt.problem) || got.Type != "" || got.Attribution != (Attribution{}) {
				t.Errorf("got %+v, want %v because of %q", got, tt.state, tt.problem)
			}
			log := f.logged()
			if strings.Count(log, "kind=city") != 1 || !strings.Contains(log, f.city) || !strings.Contains(log, "do=") {
				t.Errorf("log: got %q, want one line that names the file and what to do", log)
			}
			if l := db.Lookup(london); l.Place != nil || l.Network == nil {
				t.Errorf("got %+v, want the network only", l)
			}
			db.Reload()
			if log := f.logged(); log != "" {
				t.Errorf("logged again: %q", log)
			}
			f.replace(f.city, sample.City)
			db.Reload()
			if got := city(db); got != "London" {
				t.Errorf("after a good file came: got %q", got)
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		db := Open(t.TempDir(), "", slog.New(slog.DiscardHandler))
		if got := db.Files(); got[0].Error != "is not a regular file" || got[1] != (File{Kind: "asn", State: None, Error: "not set"}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestReload(t *testing.T) {
	f := newFiles(t, named(t, "one"), nil)
	db := f.open()
	steps := []struct {
		name   string
		change func()
		city   string
		state  State
		log    string // of exactly one line; "" means none
	}{
		{"nothing changed", func() {}, "one", Loaded, ""},
		{"renamed over", func() { f.replace(f.city, named(t, "two")) }, "two", Loaded, "GeoIP file loaded"},
		{"a bad file renamed over", func() { f.replace(f.city, []byte("bad")) }, "two", Loaded, "GeoIP file cannot be used"},
		{"still bad", func() {}, "two", Loaded, ""},
		{"removed", func() { os.Remove(f.city) }, "two", Loaded, "does not exist"},
		{"still removed", func() {}, "two", Loaded, ""},
		{"back", func() { f.overwrite(f.city, named(t, "three")) }, "three", Loaded, "GeoIP file loaded"},
		{"changed in place", func() { f.overwrite(f.city, named(t, "fourth")) }, "fourth", Loaded, "GeoIP file loaded"},
	}
	f.logged()
	for _, step := range steps {
		step.change()
		db.Reload()
		log := f.logged()
		if got := city(db); got != step.city {
			t.Errorf("%s: got %q, want %q", step.name, got, step.city)
		}
		if got := db.Files()[0]; got.State != step.state || got.Type != "GeoLite2-City" {
			t.Errorf("%s: got %+v, want %v", step.name, got, step.state)
		}
		if step.log == "" && log != "" || strings.Count(log, "\n") > 1 || !strings.Contains(log, step.log) {
			t.Errorf("%s: logged %q, want %q", step.name, log, step.log)
		}
	}
}

// Permissions can change while the file does not.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("root, or a system without permissions, reads every file")
	}
	f := newFiles(t, sample.City, nil)
	if err := os.Chmod(f.city, 0); err != nil {
		t.Fatal(err)
	}
	db := f.open()
	f.logged()
	db.Reload()
	if got, log := db.Files()[0], f.logged(); got.State != Failed || got.Error != "permission denied" || log != "" {
		t.Errorf("got %+v, logged %q again", got, log)
	}
	if err := os.Chmod(f.city, 0o600); err != nil {
		t.Fatal(err)
	}
	db.Reload()
	if got := city(db); got != "London" {
		t.Errorf("readable again: got %q", got)
	}
}

// A bad file in place of the old one takes what was mapped with it.
func TestSpoiltInPlace(t *testing.T) {
	if !mapped {
		t.Skip("files are not mapped on " + runtime.GOOS)
	}
	f := newFiles(t, sample.City, nil)
	db := f.open()
	f.overwrite(f.city, bytes.Repeat([]byte{0xff}, len(sample.City)))
	for range 100 {
		db.Lookup(london) // whatever it says, it returns
	}
	db.Reload()
	if got := db.Files()[0]; got.State != Failed || city(db) != "" {
		t.Errorf("got %+v and %q, want failed and nothing", got, city(db))
	}
}

func TestReloadUnderLoad(t *testing.T) {
	f := newFiles(t, named(t, "one"), sample.ASN)
	db := f.open()
	contents := [][]byte{named(t, "one"), named(t, "two")}
	var done atomic.Bool
	var wait sync.WaitGroup
	var lookups atomic.Int64
	for range 4 {
		wait.Go(func() {
			for !done.Load() {
				l := db.Lookup(london)
				if l.Place == nil || l.Place.City != "one" && l.Place.City != "two" || l.Network == nil || l.Network.ASN != 20712 {
					t.Errorf("got %+v %+v", l.Place, l.Network)
					return
				}
				lookups.Add(1)
			}
		})
	}
	for i := range 30 {
		f.replace(f.city, contents[i%2])
		if i%10 == 0 {
			f.replace(f.asn, sample.ASN)
			runtime.GC() // unmaps what nobody uses any more
		}
		db.Reload()
		db.Files()
	}
	done.Store(true)
	wait.Wait()
	t.Logf("%d lookups during 30 reloads", lookups.Load())
}

// A file that is cut short faults in whoever reads its mapping.
func TestCutShort(t *testing.T) {
	if !mapped {
		t.Skip("files are not mapped on " + runtime.GOOS)
	}
	const rounds = 10
	f := newFiles(t, sample.City, sample.ASN)
	db := f.open()
	var done atomic.Bool
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for !done.Load() {
				if l := db.Lookup(london); l.Network == nil {
					t.Error("the other file was lost too")
					return
				}
			}
		})
	}
	for round := range rounds {
		if err := os.Truncate(f.city, 0); err != nil {
			t.Fatal(err)
		}
		db.Lookup(london)
		if got := db.Files()[0]; got.State != Failed || got.Error != errLost.Error() || city(db) != "" {
			t.Fatalf("round %d: got %+v and %q, want failed and nothing", round, got, city(db))
		}
		if round%2 == 0 { // half the time, look before it is whole again
			db.Reload()
			if got := db.Files()[0]; got.State != Failed || got.Error != "file is empty" {
				t.Errorf("round %d: got %+v, want that it is empty", round, got)
			}
		}
		f.overwrite(f.city, sample.City)
		db.Reload()
		if got := db.Files()[0]; got.State != Loaded || got.Error != "" || city(db) != "London" {
			t.Fatalf("round %d: got %+v and %q after it was whole again", round, got, city(db))
		}
	}
	done.Store(true)
	wait.Wait()
	if got := strings.Count(f.logged(), "cut short while it was in use"); got != rounds {
		t.Errorf("logged %d times that the file was cut short, want %d", got, rounds)
	}
}

func TestWatch(t *testing.T) {
	f := newFiles(t, named(t, "one"), nil)
	db := f.open()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		db.Watch(ctx, 5*time.Millisecond)
	}()
	f.replace(f.city, named(t, "two"))
	for deadline := time.Now().Add(10 * time.Second); city(db) != "two"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new file is not in use")
		}
	}
	cancel()
	<-ended
}

func TestDescribe(t *testing.T) {
	now := time.Date(2026, 11, 9, 12, 0, 0, 0, time.UTC)
	built := time.Date(2026, 9, 2, 6, 0, 0, 0, time.UTC)
	tests := []struct {
		file  File
		want  string
		stale bool
	}{
		{File{Error: "not set"}, "not set", false},
		{File{Path: "x.mmdb", State: None, Error: "does not exist"}, "x.mmdb: does not exist", false},
		{File{Path: "x.mmdb", State: Failed, Error: "file is empty"}, "x.mmdb: file is empty", false},
		{File{Path: "x.mmdb", State: Loaded, Type: "GeoLite2-City", Built: built}, "GeoLite2-City of 2 September 2026, 68 days old", true},
		{File{Path: "x.mmdb", State: Loaded, Type: "GeoLite2-City", Built: now.Add(-30 * 24 * time.Hour)}, "GeoLite2-City of 10 October 2026, 30 days old", false},
		{File{Path: "x.mmdb", State: Loaded, Type: "GeoLite2-City", Built: now.Add(time.Hour)}, "GeoLite2-City of 9 November 2026, 0 days old", false},
		{File{Path: "x.mmdb", State: Loaded, Type: "Lastseen-Sample-City", Built: built}, "Lastseen-Sample-City of 2 September 2026, 68 days old", false},
		{File{Path: "x.mmdb", State: Loaded, Type: "Sample", Error: "file is empty"}, "Sample; what is now at x.mmdb is not in use: file is empty", false},
	}
	for _, tt := range tests {
		if got := tt.file.Describe(now); got != tt.want || tt.file.Stale(now) != tt.stale {
			t.Errorf("got %q, stale %v; want %q, %v", got, tt.file.Stale(now), tt.want, tt.stale)
		}
	}
}

func TestScopeOf(t *testing.T) {
	for ip, want := range map[string]Scope{
		"1.1.1.1": Public, "2606:4700::1111": Public, "::ffff:1.1.1.1": Public, "172.15.255.255": Public,
		"172.32.0.0": Public, "100.63.255.255": Public, "100.128.0.0": Public, "2002:101:101::1": Public,
		"127.0.0.1": Loopback, "127.255.0.1": Loopback, "::1": Loopback, "::ffff:127.0.0.1": Loopback,
		"10.0.0.1": Private, "172.16.0.1": Private, "192.168.178.20": Private, "fd00::1": Private, "::ffff:10.0.0.1": Private,
		"169.254.1.1": LinkLocal, "fe80::1%eth0": LinkLocal,
		"100.64.0.1": Carrier, "100.127.255.255": Carrier, "::ffff:100.100.1.1": Carrier,
		"0.0.0.0": Special, "::": Special, "0.1.2.3": Special, "224.0.0.1": Special, "239.1.1.1": Special,
		"ff02::1": Special, "240.0.0.1": Special, "255.255.255.255": Special,
	} {
		if got := ScopeOf(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: got %q, want %q", ip, got, want)
		}
	}
	if got := ScopeOf(netip.Addr{}); got != Special {
		t.Errorf("no address: got %q, want %q", got, Special)
	}
}

func BenchmarkLookup(b *testing.B) {
	db := newFiles(b, sample.City, sample.ASN).open()
	table, err := sample.Networks()
	if err != nil {
		b.Fatal(err)
	}
	ip := func(i int) netip.Addr { return table[i%len(table)].Prefix.Addr() }
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			db.Lookup(ip(i))
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				db.Lookup(ip(i))
			}
		})
	})
}
