package app

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lastseen/db"
	"lastseen/geoip"
)

// An Area is all that a page says of where an address is.
type Area struct {
	Scope         geoip.Scope
	Country, City string // "" for unknown, as in [geoip.Place]
	ASN           uint32
	Org           string
}

// An AddressFilter chooses the addresses of the areas that fit, and those within a prefix.
type AddressFilter struct {
	Area   func(Area) bool // nil: none
	Within netip.Prefix    // invalid: none
}

// Addresses are, for each of the filters, those that sessions of a state were last used
// from, with some perhaps that they no longer are. The filters may not call App.
func (a *App) Addresses(ctx context.Context, state db.State, filters ...AddressFilter) ([][]string, error) {
	found := make([][]string, len(filters))
	for i := range found {
		found[i] = []string{}
	}
	flushed := a.flushIfQuick(ctx)
	for ended, known := range map[bool]*addresses{false: &a.living, true: &a.ended} {
		if state != db.Any && ended != (state == db.Ended) {
			continue
		}
		known.mu.Lock()
		err := known.update(ctx, a, ended, flushed)
		if err == nil {
			for i, f := range filters {
				found[i] = known.choose(f, found[i])
			}
		}
		known.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// EventAddresses are those of the events that the filter chooses, of areas that fit.
func (a *App) EventAddresses(ctx context.Context, f db.EventFilter, fits func(Area) bool) ([]string, error) {
	ips, err := a.store.EventIPs(ctx, f)
	if err != nil {
		return nil, err
	}
	found := []string{}
	for _, ip := range ips {
		if fits(newArea(ip, a.geo.Lookup(ip))) {
			found = append(found, ip.String())
		}
	}
	return found, nil
}

// addresses are those of sessions, by where they are. A page looks for words in hundreds of
// areas, and not in the places of a hundred thousand addresses, which take a second to read
// and look up: that is done once in maxKnown, after which only what is new is read. An
// address takes 24 bytes.
type addresses struct {
	mu     sync.Mutex
	areas  map[Area][]netip.Addr // each list sorted
	files  []geoip.File          // by which they were looked up
	read   time.Time             // when all of them were
	newest int64                 // row that is known
	since  time.Time             // what was used later may be new
}

// maxKnown is how long addresses stay that no session has any more.
const maxKnown = time.Hour

// clockStep is by how much what was written before now may say that it was later.
const clockStep = time.Minute

func (k *addresses) update(ctx context.Context, a *App, ended, flushed bool) error {
	now, files := a.now(), a.geo.Files()
	if !slices.Equal(files, k.files) || now.Before(k.read) || now.Sub(k.read) > maxKnown {
		k.areas, k.newest = nil, 0
	}
	ips, newest, err := a.store.IPs(ctx, ended, k.newest, k.since.Add(-clockStep))
	if err != nil {
		return err
	}
	if newest < k.newest { // rows are gone, and their numbers are given anew
		if ips, newest, err = a.store.IPs(ctx, ended, 0, time.Time{}); err != nil {
			return err
		}
	}
	first := k.areas == nil
	if first {
		k.areas, k.files, k.read, k.since = map[Area][]netip.Addr{}, files, now, time.Time{}
	}
	k.newest = newest
	if flushed { // or else uses of before now are still to be written
		k.since = now
	}
	for _, ip := range ips {
		area := newArea(ip, a.geo.Lookup(ip))
		list := k.areas[area]
		if first {
			k.areas[area] = append(list, ip)
		} else if i, known := slices.BinarySearchFunc(list, ip, netip.Addr.Compare); !known {
			k.areas[area] = slices.Insert(list, i, ip)
		}
	}
	if first {
		for _, list := range k.areas {
			slices.SortFunc(list, netip.Addr.Compare)
		}
	}
	return nil
}

// choose appends the addresses that fit.
func (k *addresses) choose(f AddressFilter, to []string) []string {
	for area, list := range k.areas {
		whole := f.Area != nil && f.Area(area)
		if !whole && !f.Within.IsValid() {
			continue
		}
		for _, ip := range list {
			if whole || f.Within.Contains(ip) {
				to = append(to, ip.String())
			}
		}
	}
	return to
}

func newArea(ip netip.Addr, l geoip.Location) Area {
	area := Area{Scope: geoip.ScopeOf(ip)}
	if l.Place != nil {
		area.Country, area.City = l.Place.Country, l.Place.City
	}
	if l.Network != nil {
		area.ASN, area.Org = l.Network.ASN, l.Network.Org
	}
	return area
}
