// Package geoip says where an address is and whose network it belongs to, from
// MaxMind DB files, which are memory-mapped and may be replaced at any time.
package geoip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// A Location is what the files say of an address: nil where they say nothing.
type Location struct {
	Place   *Place
	Network *Network
}

// A Place is where an address is, roughly. What the record lacks is "".
type Place struct {
	Continent, Country string // two-letter codes
	City               string // its English name
	Located            bool   // whether Lat and Long mean anything
	Lat, Long          float64
	AccuracyKM         uint16 // 0 when the record does not say
}

// A Network is whom an address belongs to.
type Network struct {
	ASN    uint32
	Org    string       // "" when the record names none
	Prefix netip.Prefix // the network of the file that matched
}

// A DB is a file of places and a file of networks, of which either may be
// missing. Its methods may be called by any number of goroutines at once.
type DB struct {
	city, asn *file
}

// Open opens both files. One that is missing or bad only means that no place or
// no network is known, and a line in the log.
func Open(city, asn string, log *slog.Logger) *DB {
	d := &DB{
		city: &file{kind: "city", path: city, log: log},
		asn:  &file{kind: "asn", path: asn, log: log},
	}
	d.Reload()
	return d
}

// Lookup says what is known of an address; of one that is not public, nothing.
// It never fails: a damaged record, or a file that is cut short while it is
// read, counts as knowing nothing.
func (d *DB) Lookup(ip netip.Addr) Location {
	ip = ip.Unmap().WithZone("")
	if ScopeOf(ip) != Public {
		return Location{}
	}
	var l Location
	d.city.read(func(o *opened) error {
		var err error
		l.Place, err = o.place(ip)
		return err
	})
	d.asn.read(func(o *opened) error {
		var err error
		l.Network, err = o.network(ip)
		return err
	})
	return l
}

// Reload opens the files that have changed. One that cannot be used leaves the
// old one in use; lookups go on meanwhile.
func (d *DB) Reload() {
	d.city.reload()
	d.asn.reload()
}

// Watch calls Reload again and again until ctx ends.
func (d *DB) Watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.Reload()
		}
	}
}

// Files are the states of both files.
func (d *DB) Files() []File { return []File{d.city.state(), d.asn.state()} }

// Close lets go of the files; lookups after it know nothing.
func (d *DB) Close() {
	for _, f := range []*file{d.city, d.asn} {
		f.current.Store(nil) // unmapped when the last lookup is done with it
	}
}

// A file is one database that may come, change and go.
type file struct {
	kind, path string
	log        *slog.Logger
	current    atomic.Pointer[opened]

	mu   sync.Mutex
	seen os.FileInfo // of the last attempt to open it; nil when there was none
	err  error       // why it could not be opened, or was given up
}

// opened is a mapped file. It is unmapped when nobody refers to it any more.
type opened struct {
	reader *maxminddb.Reader
	layout layout
	warned atomic.Bool
}

func (f *file) reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		if f.err == nil || f.seen != nil { // say it once
			if f.current.Load() != nil {
				f.log.Warn("GeoIP file is gone, what was read of it stays in use", "kind", f.kind, "file", f.path, "err", err)
			} else if errors.Is(err, fs.ErrNotExist) {
				f.log.Info("no GeoIP file", "kind", f.kind, "file", f.path)
			} else {
				f.log.Error("GeoIP file cannot be read", "kind", f.kind, "file", f.path, "err", err)
			}
		}
		f.seen, f.err = nil, err
		return
	}
	if f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return
	}
	f.seen = info
	o, err := open(f.path, f.kind)
	if f.err = err; err != nil {
		f.log.Error("GeoIP file cannot be used: replace it, or leave it away", "kind", f.kind, "file", f.path, "err", err)
		return
	}
	f.current.Store(o)
	m := o.reader.Metadata
	f.log.Info("GeoIP file in use", "kind", f.kind, "file", f.path, "type", m.DatabaseType, "built", m.BuildTime().UTC().Format(time.DateOnly))
}

// open maps a file, finds out how its records are laid out, and tries a lookup.
func open(path, kind string) (o *opened, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer faults(&err)
	reader, err := maxminddb.Open(path)
	if err != nil {
		return nil, err
	}
	o = &opened{reader: reader}
	if o.layout, err = detect(reader); err != nil {
		return nil, err
	}
	if kind == "city" && o.layout.places == none {
		return nil, fmt.Errorf("a file of type %q holds no places", reader.Metadata.DatabaseType)
	}
	if kind == "asn" && o.layout.networks == none {
		return nil, fmt.Errorf("a file of type %q holds no networks", reader.Metadata.DatabaseType)
	}
	return o, nil
}

// read calls f with the file that is in use, if there is one.
func (f *file) read(lookup func(*opened) error) {
	o := f.current.Load()
	if o == nil {
		return
	}
	err := guarded(o, lookup)
	if err == nil {
		return
	}
	if !o.warned.Swap(true) {
		f.log.Error("GeoIP file is damaged: replace it", "kind", f.kind, "file", f.path, "err", err)
	}
	if errors.Is(err, errFault) && f.current.CompareAndSwap(o, nil) {
		f.mu.Lock()
		f.seen, f.err = nil, err // look again at the next reload
		f.mu.Unlock()
	}
}

// errFault says that the file ended before its mapping did: somebody cut it
// short, or copied over it.
var errFault = errors.New("the file was cut short while it was in use")

// guarded turns the signal that reading past the end of a mapped file raises,
// which would end the process, into errFault.
func guarded(o *opened, lookup func(*opened) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer faults(&err)
	defer runtime.KeepAlive(o)
	return lookup(o)
}

// faults is deferred where a mapped file is read, with panics on faults set.
func faults(err *error) {
	if v := recover(); v != nil {
		if _, ok := v.(interface{ Addr() uintptr }); ok {
			*err = errFault
			return
		}
		*err = fmt.Errorf("reading it went wrong: %v", v)
	}
}

// A State is what became of a file.
type State string

// The states of a file.
const (
	Missing State = "missing"
	Loaded  State = "loaded"
	Failed  State = "failed"
)

// A File is the state of one database file.
type File struct {
	Kind        string // city or asn
	Path        string
	State       State
	Err         error     // why it is not, or no longer, what is at Path; nil when all is well
	Type        string    // the database's own name for itself
	Built       time.Time // when its makers built it
	Attribution Attribution
}

// staleAfter is when MaxMind's licence wants an old file gone.
const staleAfter = 30 * 24 * time.Hour

// Stale reports whether the file is older than a month.
func (f File) Stale(now time.Time) bool { return f.State == Loaded && now.Sub(f.Built) > staleAfter }

// Describe says all that in a line.
func (f File) Describe(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", f.Path, f.State)
	if f.State == Loaded {
		fmt.Fprintf(&b, ", %s, built %s, %d days old", f.Type, f.Built.Format(time.DateOnly), int(now.Sub(f.Built).Hours()/24))
	}
	if f.Err != nil {
		fmt.Fprintf(&b, " (%v)", f.Err)
	}
	return b.String()
}

func (f *file) state() File {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := File{Kind: f.kind, Path: f.path, State: Missing, Err: f.err}
	if o := f.current.Load(); o != nil {
		m := o.reader.Metadata
		s.State, s.Type, s.Built = Loaded, m.DatabaseType, m.BuildTime().UTC()
		s.Attribution = attribution(m.DatabaseType)
	} else if errors.Is(f.err, fs.ErrNotExist) {
		s.Err = nil
	} else {
		s.State = Failed
	}
	return s
}

// An Attribution is the line that the makers of a file ask for wherever its
// contents are shown.
type Attribution struct{ Text, URL string }

// attributions go by what a database calls itself; the first that fits wins.
// DB-IP's ASN file is "DBIP-ASN-Lite (compat=GeoLite2-ASN)".
var attributions = []struct {
	typePart string
	Attribution
}{
	{"Lastseen-Sample", Attribution{"Places and networks are sample data for this demonstration.", ""}},
	{"DBIP-", Attribution{"IP Geolocation by DB-IP", "https://db-ip.com"}},
	{"ipinfo", Attribution{"IP address data powered by IPinfo", "https://ipinfo.io"}},
	{"IP2Location", Attribution{"This site uses IP2Location LITE data.", "https://lite.ip2location.com"}},
	{"GeoLite2", Attribution{"This product includes GeoLite2 data created by MaxMind.", "https://www.maxmind.com"}},
	{"GeoIP2", Attribution{"This product includes GeoIP2 data created by MaxMind.", "https://www.maxmind.com"}},
}

func attribution(databaseType string) Attribution {
	for _, a := range attributions {
		if strings.Contains(strings.ToLower(databaseType), strings.ToLower(a.typePart)) {
			return a.Attribution
		}
	}
	return Attribution{}
}
