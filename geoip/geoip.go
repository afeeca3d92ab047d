// Package geoip says where an address is and whose network it belongs to, by
// databases in the MaxMind DB format (https://maxmind.github.io/MaxMind-DB/).
// The files are the user's own, from any of several makers (layout.go); both
// are optional, and may be replaced while they are in use.
package geoip

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// A Location is what the databases say of one address. A part of which nothing
// is known is nil.
type Location struct {
	Place   *Place
	Network *Network
}

// A Place is where an address is thought to be.
type Place struct {
	Continent string // two capital letters, "" if the record names none
	Country   string // ISO 3166-1: two capital letters, "" if the record names none
	City      string // in English, "" if the record names none

	// Degrees, north and east positive; of no meaning unless Located.
	Lat, Long   float64
	Located     bool
	CountryOnly bool   // whether they are the country's centre, for want of others in the record
	AccuracyKm  uint16 // radius around them, 0 if the record has none
}

// A Network is the autonomous system that announces an address.
type Network struct {
	ASN    uint32
	Org    string       // "" if the record names none
	Prefix netip.Prefix // that the record is for; of IPv4 for an IPv4 address
}

// A DB answers from up to two files. All of its methods may be called by any
// number of goroutines at once.
type DB struct {
	city source[Place]
	asn  source[Network]

	mu     sync.Mutex // held by Reload and Close
	closed bool
}

// Open reads the database of places at city and that of networks at asn; one
// file may be both, and "" means none. A file that is missing or bad is no
// error: the log says what to do, Files reports it, and nothing is known of
// places or networks until Reload finds a good one.
func Open(city, asn string, log *slog.Logger) *DB {
	d := &DB{
		city: source[Place]{kind: "city", holds: "places", path: city, layouts: places, log: log},
		asn:  source[Network]{kind: "asn", holds: "networks", path: asn, layouts: networks, log: log},
	}
	d.Reload()
	return d
}

// Lookup says what is known of ip, which for all but public addresses is
// nothing. IPv4-mapped addresses count as IPv4, and zones are ignored. It never
// fails: what a damaged file does not say is unknown, as is all to a nil DB.
func (d *DB) Lookup(ip netip.Addr) Location {
	if d == nil || ScopeOf(ip) != Public {
		return Location{}
	}
	ip = ip.Unmap().WithZone("")
	var l Location
	l.Place, _ = d.city.find(ip)
	if network, prefix := d.asn.find(ip); network != nil {
		n := *network
		n.Prefix = prefix
		if ip.Is4() && prefix.Addr().Is6() {
			n.Prefix = netip.PrefixFrom(netip.IPv4Unspecified(), 0) // a record for more than all of IPv4
		}
		l.Network = &n
	}
	return l
}

// Reload opens the files that have changed since it last looked and uses the
// good ones from the next Lookup on. In place of a bad or missing one it keeps
// what is in use.
func (d *DB) Reload() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.city.reload()
		d.asn.reload()
	}
}

// Watch calls Reload at every interval until ctx ends.
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

// Files is the state of the file of places and of that of networks, in this
// order. It does not wait for a Reload under way.
func (d *DB) Files() []File {
	return []File{d.city.file(), d.asn.file()}
}

// Close lets go of the files. Nothing is known from then on.
func (d *DB) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.city.current.Store(nil)
	d.asn.current.Store(nil)
}
