package geoip

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// A shape is how a record says something.
type shape int

const (
	none   shape = iota
	nested       // as MaxMind does, and DB-IP and IP2Location after it
	flat         // all on one level, as ip-location-db and IPinfo do
)

// A layout is how the records of a file say what we look for.
type layout struct{ places, networks shape }

// detect looks at records until it knows, since names of files and of databases
// say little about what is in them.
func detect(r *maxminddb.Reader) (layout, error) {
	var l layout
	looked := 0
	for result := range r.Networks() {
		var record map[string]any
		if err := result.Decode(&record); err != nil {
			return l, err
		}
		isMap := func(name string) bool { _, ok := record[name].(map[string]any); return ok }
		isText := func(name string) bool { _, ok := record[name].(string); return ok }
		switch {
		case isMap("country"), isMap("continent"), isMap("city"), isMap("location"), isMap("registered_country"):
			l.places = nested
		case isText("country_code"), isText("city"):
			l.places = flat
		}
		switch {
		case record["autonomous_system_number"] != nil:
			l.networks = nested
		case isText("asn"):
			l.networks = flat
		}
		if looked++; looked == 1000 || l.places != none && l.networks != none {
			break
		}
	}
	if looked == 0 {
		return l, errors.New("it holds no records")
	}
	return l, nil
}

// place reads only the fields that are shown.
func (o *opened) place(ip netip.Addr) (*Place, error) {
	result := o.reader.Lookup(ip)
	if !result.Found() {
		return nil, result.Err()
	}
	var p Place
	var lat, long *float64
	if o.layout.places == nested {
		var record struct {
			Continent struct {
				Code string `maxminddb:"code"`
			} `maxminddb:"continent"`
			Country struct {
				ISOCode string `maxminddb:"iso_code"`
			} `maxminddb:"country"`
			City struct {
				Names struct {
					English string `maxminddb:"en"`
				} `maxminddb:"names"`
			} `maxminddb:"city"`
			Location struct {
				Latitude       *float64 `maxminddb:"latitude"`
				Longitude      *float64 `maxminddb:"longitude"`
				AccuracyRadius uint16   `maxminddb:"accuracy_radius"`
			} `maxminddb:"location"`
		}
		if err := result.Decode(&record); err != nil {
			return nil, err
		}
		p = Place{Continent: record.Continent.Code, Country: record.Country.ISOCode, City: record.City.Names.English, AccuracyKM: record.Location.AccuracyRadius}
		lat, long = record.Location.Latitude, record.Location.Longitude
	} else {
		var record struct {
			Continent string `maxminddb:"continent_code"`
			Country   string `maxminddb:"country_code"`
			City      string `maxminddb:"city"`
			Latitude  any    `maxminddb:"latitude"`
			Longitude any    `maxminddb:"longitude"`
		}
		if err := result.Decode(&record); err != nil {
			return nil, err
		}
		p = Place{Continent: record.Continent, Country: record.Country, City: record.City}
		lat, long = number(record.Latitude), number(record.Longitude)
	}
	p.Continent, p.Country, p.City = code(p.Continent), code(p.Country), text(p.City)
	if lat != nil && long != nil && math.Abs(*lat) <= 90 && math.Abs(*long) <= 180 {
		p.Located, p.Lat, p.Long = true, *lat, *long
	}
	if p.Continent == "" && p.Country == "" && p.City == "" && !p.Located {
		return nil, nil
	}
	return &p, nil
}

func (o *opened) network(ip netip.Addr) (*Network, error) {
	result := o.reader.Lookup(ip)
	if !result.Found() {
		return nil, result.Err()
	}
	n := Network{Prefix: prefixOf(result)}
	if o.layout.networks == nested {
		var record struct {
			Number       uint32 `maxminddb:"autonomous_system_number"`
			Organization string `maxminddb:"autonomous_system_organization"`
		}
		if err := result.Decode(&record); err != nil {
			return nil, err
		}
		n.ASN, n.Org = record.Number, text(record.Organization)
	} else {
		var record struct {
			Number string `maxminddb:"asn"`
			Name   string `maxminddb:"as_name"`
		}
		if err := result.Decode(&record); err != nil {
			return nil, err
		}
		number, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(record.Number), "AS"), 10, 32)
		if err == nil {
			n.ASN = uint32(number)
		}
		n.Org = text(record.Name)
	}
	if n.ASN == 0 && n.Org == "" {
		return nil, nil
	}
	return &n, nil
}

// prefixOf is the network that matched, of an IPv4 address as an IPv4 network.
func prefixOf(r maxminddb.Result) netip.Prefix {
	p := r.Prefix()
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

// code is a two-letter code, or "" for anything else.
func code(s string) string {
	if len(s) != 2 || !letter(s[0]) || !letter(s[1]) {
		return ""
	}
	return strings.ToUpper(s)
}

func letter(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }

// text is a name that can be shown: valid, and of a length that a name has.
func text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for i := range s {
		if i >= 200 {
			return s[:i]
		}
	}
	return s
}

// number reads a coordinate that may be written as text.
func number(v any) *float64 {
	switch v := v.(type) {
	case float64:
		return &v
	case float32:
		f := float64(v)
		return &f
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return &f
		}
	}
	return nil
}
