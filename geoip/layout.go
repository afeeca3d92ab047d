package geoip

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// A layout reads from a record what we show of it, nil if that is nothing. Which
// one fits a file is found out when it is opened, by its records: the type that
// it names says little (ip-location-db's is "city ipv4").
type layout[T any] func(maxminddb.Result) (*T, error)

var (
	places   = []layout[Place]{nestedPlace, flatPlace}
	networks = []layout[Network]{network}
)

// nestedPlace is the layout of GeoLite2 and GeoIP2
// (https://dev.maxmind.com/geoip/docs/databases/city-and-country), DB-IP
// (https://db-ip.com/db/format/ip-to-city-lite/mmdb.html) and IP2Location LITE.
func nestedPlace(r maxminddb.Result) (*Place, error) {
	var record struct {
		Continent struct {
			Code string `maxminddb:"code"`
		} `maxminddb:"continent"`
		Country struct {
			Code string `maxminddb:"iso_code"`
		} `maxminddb:"country"`
		City struct {
			Names struct {
				English string `maxminddb:"en"`
			} `maxminddb:"names"`
		} `maxminddb:"city"`
		Location struct {
			Lat      number `maxminddb:"latitude"`
			Long     number `maxminddb:"longitude"`
			Accuracy uint16 `maxminddb:"accuracy_radius"`
		} `maxminddb:"location"`
	}
	if err := r.Decode(&record); err != nil {
		return nil, err
	}
	at := record.Location
	return newPlace(record.Continent.Code, record.Country.Code, record.City.Names.English, at.Lat, at.Long, at.Accuracy), nil
}

// flatPlace is the layout of ip-location-db
// (https://github.com/sapics/ip-location-db) and IPinfo Lite
// (https://ipinfo.io/developers/ipinfo-lite-database), each with some of the fields.
func flatPlace(r maxminddb.Result) (*Place, error) {
	var record struct {
		Continent string `maxminddb:"continent_code"`
		Country   string `maxminddb:"country_code"`
		City      string `maxminddb:"city"`
		Lat       number `maxminddb:"latitude"`
		Long      number `maxminddb:"longitude"`
	}
	if err := r.Decode(&record); err != nil {
		return nil, err
	}
	return newPlace(record.Continent, record.Country, record.City, record.Lat, record.Long, 0), nil
}

// network is the layout of GeoLite2, GeoIP2, DB-IP and ip-location-db
// (https://dev.maxmind.com/geoip/docs/databases/asn), and of IPinfo Lite.
func network(r maxminddb.Result) (*Network, error) {
	var record struct {
		ASN number `maxminddb:"autonomous_system_number"`
		Org string `maxminddb:"autonomous_system_organization"`

		IPinfoASN number `maxminddb:"asn"`
		IPinfoOrg string `maxminddb:"as_name"`
	}
	if err := r.Decode(&record); err != nil {
		return nil, err
	}
	n := Network{
		ASN: cmp.Or(record.ASN.asn(), record.IPinfoASN.asn()),
		Org: clean(cmp.Or(record.Org, record.IPinfoOrg)),
	}
	if n.ASN == 0 && n.Org == "" {
		return nil, nil
	}
	return &n, nil
}

// newPlace keeps what is valid, and is nil if nothing is. Without coordinates a
// place is at its country's centre.
func newPlace(continent, country, city string, lat, long number, accuracy uint16) *Place {
	p := Place{Continent: code(continent), Country: code(country), City: clean(city)}
	if lat.within(-90, 90) && long.within(-180, 180) {
		p.Lat, p.Long, p.AccuracyKm, p.Located = lat.value, long.value, accuracy, true
	} else if centre, ok := centres[p.Country]; ok {
		p.Lat, p.Long, p.Located, p.CountryOnly = centre.lat, centre.long, true, true
	}
	if p == (Place{}) {
		return nil
	}
	return &p
}

// code is s in capitals if it is two letters, else "".
func code(s string) string {
	letter := func(b byte) bool { return 'A' <= b&^0x20 && b&^0x20 <= 'Z' }
	if len(s) != 2 || !letter(s[0]) || !letter(s[1]) {
		return ""
	}
	return strings.ToUpper(s)
}

// clean is s fit for a line of text: at most 200 bytes of UTF-8, no control or
// invisible characters.
func clean(s string) string {
	s = s[:min(len(s), 200)]
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
}

// A number may be written as text, and the number of an AS with "AS" before it.
// It is not set if there is none, or something else in its place.
type number struct {
	value float64
	set   bool
}

// within is false for NaN too.
func (n number) within(low, high float64) bool {
	return n.set && low <= n.value && n.value <= high
}

func (n number) asn() uint32 {
	if !n.within(0, math.MaxUint32) {
		return 0
	}
	return uint32(n.value)
}

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (n *number) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (next mmdbdata.Cursor, err error) {
	kind, err := c.Kind()
	if err != nil {
		return next, err
	}
	switch kind {
	case mmdbdata.KindFloat64, mmdbdata.KindFloat32:
		n.value, next, err = c.ReadFloat()
		n.set = err == nil
	case mmdbdata.KindInt32, mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64:
		var bits uint64
		var signed bool
		bits, signed, next, err = c.ReadInteger()
		n.value, n.set = float64(bits), err == nil
		if signed {
			n.value = float64(int64(bits))
		}
	case mmdbdata.KindString:
		var text string
		text, next, err = c.ReadString()
		value, malformed := strconv.ParseFloat(strings.TrimPrefix(text, "AS"), 64)
		*n = number{value, err == nil && malformed == nil}
	default:
		return c.Skip()
	}
	return next, err
}
