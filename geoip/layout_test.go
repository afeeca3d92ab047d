package geoip

import (
	"bytes"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

type (
	object = mmdbtype.Map
	text   = mmdbtype.String
	float  = mmdbtype.Float64
)

func TestLayouts(t *testing.T) {
	nested := object{
		"continent": object{"code": text("EU"), "geoname_id": mmdbtype.Uint32(6255148), "names": object{"en": text("Europe")}},
		"country":   object{"iso_code": text("SE"), "is_in_european_union": mmdbtype.Bool(true), "names": object{"en": text("Sweden")}},
		"city":      object{"names": object{"de": text("Linkoping"), "en": text("Linköping")}},
		"location": object{"latitude": float(58.4167), "longitude": float(15.6167), "accuracy_radius": mmdbtype.Uint16(76),
			"time_zone": text("Europe/Stockholm")},
		"registered_country": object{"iso_code": text("NO")},
		"subdivisions":       mmdbtype.Slice{object{"iso_code": text("E")}},
	}
	country := object{"continent": nested["continent"], "country": nested["country"]}
	autonomous := object{"autonomous_system_number": mmdbtype.Uint32(29518), "autonomous_system_organization": text("Bredband2 AB")}
	ipinfo := object{
		"country": text("Sweden"), "country_code": text("SE"), "continent": text("Europe"), "continent_code": text("EU"),
		"asn": text("AS29518"), "as_name": text("Bredband2 AB"), "as_domain": text("bredband2.com"),
	}
	flat := func(lat, long mmdbtype.DataType) object {
		return object{"country_code": text("SE"), "state1": text("Östergötland"), "state2": text(""), "city": text("Linköping"),
			"postcode": text("582 22"), "latitude": lat, "longitude": long, "timezone": text("Europe/Stockholm")}
	}

	whole := &Place{Continent: "EU", Country: "SE", City: "Linköping", Lat: 58.4167, Long: 15.6167, Located: true, AccuracyKm: 76}
	noRadius := &Place{Country: "SE", City: "Linköping", Lat: 58.4167, Long: 15.6167, Located: true}
	noCity := &Place{Continent: "EU", Country: "SE", Lat: 62.2, Long: 16.49, Located: true, CountryOnly: true}
	countryAlone := &Place{Country: "SE", Lat: 62.2, Long: 16.49, Located: true, CountryOnly: true}
	network := &Network{ASN: 29518, Org: "Bredband2 AB", Prefix: netip.MustParsePrefix("89.160.20.0/24")}
	tests := []struct {
		name, databaseType string
		record             object
		place              *Place
		network            *Network
		attribution        string // a part of its link
	}{
		{"GeoLite2 City", "GeoLite2-City", nested, whole, nil, "maxmind.com"},
		{"GeoIP2 City", "GeoIP2-City-Europe", nested, whole, nil, "maxmind.com"},
		{"GeoLite2 Country", "GeoLite2-Country", country, noCity, nil, "maxmind.com"},
		{"GeoLite2 ASN", "GeoLite2-ASN", autonomous, nil, network, "maxmind.com"},
		{"DB-IP City Lite", "DBIP-City-Lite", nested, whole, nil, "db-ip.com"},
		{"DB-IP ASN Lite", "DBIP-ASN-Lite (compat=GeoLite2-ASN)", autonomous, nil, network, "db-ip.com"},
		{"IP2Location LITE", "IP2LITE-City", nested, whole, nil, "lite.ip2location.com"},
		{"ip-location-db city", "city ipv4", flat(float(58.4167), float(15.6167)), noRadius, nil, "ip-location-db"},
		{"ip-location-db city, coordinates in text", "city ipv4", flat(text("58.4167"), text("15.6167")), noRadius, nil, "ip-location-db"},
		{"ip-location-db country", "country ipv4", object{"country_code": text("SE")}, countryAlone, nil, "ip-location-db"},
		{"ip-location-db ASN", "asn ipv4", autonomous, nil, network, "ip-location-db"},
		{"IPinfo Lite", "ipinfo ipinfo_lite.mmdb", ipinfo, noCity, network, "ipinfo.io"},
		{"unknown", "My-City", nested, whole, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, options := range []mmdbwriter.Options{{IPVersion: 6, RecordSize: 24}, {IPVersion: 4, RecordSize: 28}, {IPVersion: 6, RecordSize: 32}} {
				options.DatabaseType = tt.databaseType
				// What comes first in a real file often says nothing.
				content := mmdb(t, options, map[string]object{"1.0.0.0/24": {}, "2.0.0.0/24": {"timezone": text("")}, "89.160.20.0/24": tt.record})
				f := newFiles(t, content, content)
				db := f.open()
				got := db.Lookup(netip.MustParseAddr("89.160.20.112"))
				if (got.Place == nil) != (tt.place == nil) || got.Place != nil && *got.Place != *tt.place {
					t.Errorf("place: got %+v, want %+v", got.Place, tt.place)
				}
				if (got.Network == nil) != (tt.network == nil) || got.Network != nil && *got.Network != *tt.network {
					t.Errorf("network: got %+v, want %+v", got.Network, tt.network)
				}
				for i, has := range []bool{tt.place != nil, tt.network != nil} {
					file := db.Files()[i]
					if (file.State == Loaded) != has {
						t.Errorf("%s: got %+v, want loaded %v", file.Kind, file, has)
					}
					if has && (!strings.Contains(file.Attribution.URL, tt.attribution) || tt.attribution == "" && file.Attribution != (Attribution{})) {
						t.Errorf("%s: got %+v, want %q", file.Kind, file.Attribution, tt.attribution)
					}
				}
				f.logged()
				if got := db.Lookup(netip.MustParseAddr("2606:4700::1111")); got != (Location{}) {
					t.Errorf("an address in no record: got %+v", got)
				}
				if log := f.logged(); log != "" {
					t.Errorf("logged %q", log)
				}
			}
		})
	}
	if got := attribution("Lastseen-Sample-City"); !strings.Contains(got.Text, "sample") || got.URL != "" {
		t.Errorf("sample data: got %+v", got)
	}
}

func TestPrefix(t *testing.T) {
	record := object{"autonomous_system_number": mmdbtype.Uint32(64500)}
	tests := []struct {
		in, ip, want string
		disable      bool
	}{
		{in: "1.2.3.0/25", ip: "1.2.3.4", want: "1.2.3.0/25"},
		{in: "1.2.3.4/32", ip: "1.2.3.4", want: "1.2.3.4/32"},
		{in: "2400::/12", ip: "2400:cb00::1", want: "2400::/12"},
		{in: "2400::1/128", ip: "2400::1", want: "2400::1/128"},
		{in: "::/0", ip: "1.2.3.4", want: "0.0.0.0/0", disable: true},
		{in: "::/64", ip: "1.2.3.4", want: "0.0.0.0/0", disable: true},
	}
	for _, tt := range tests {
		options := mmdbwriter.Options{DatabaseType: "GeoLite2-ASN", DisableIPv4Aliasing: tt.disable, IncludeReservedNetworks: tt.disable}
		db := newFiles(t, nil, mmdb(t, options, map[string]object{tt.in: record})).open()
		got := db.Lookup(netip.MustParseAddr(tt.ip)).Network
		if got == nil || got.Prefix.String() != tt.want {
			t.Errorf("%s in %s: got %+v, want %s", tt.ip, tt.in, got, tt.want)
		}
	}
}

// What a record says is checked before it reaches a page.
func TestValues(t *testing.T) {
	long := strings.Repeat("ä", 300)
	at := func(lat, long mmdbtype.DataType) object { return object{"latitude": lat, "longitude": long} }
	located := func(lat, long float64) *Place { return &Place{Country: "SE", Lat: lat, Long: long, Located: true} }
	unlocated := &Place{Country: "SE", Lat: 62.2, Long: 16.49, Located: true, CountryOnly: true}
	for _, tt := range []struct {
		name   string
		record object
		want   *Place
	}{
		{"lower case", object{"country_code": text("se"), "continent_code": text("eu")}, &Place{Country: "SE", Continent: "EU", Lat: 62.2, Long: 16.49, Located: true, CountryOnly: true}},
		{"not two letters", object{"city": text("x"), "country_code": text("SWE"), "continent_code": text("E1")}, &Place{City: "x"}},
		{"not ASCII", object{"city": text("x"), "country_code": text("ä")}, &Place{City: "x"}},
		{"too long", object{"city": text(long)}, &Place{City: long[:200]}},
		{"cut in a character", object{"city": text("x" + long)}, &Place{City: "x" + long[:198]}},
		{"control characters", object{"city": text("New\tYork\x1b[31m\u202e")}, &Place{City: "New York[31m"}},
		{"bad UTF-8", object{"city": text("Zur\xffich")}, &Place{City: "Zurich"}},
		{"equator", at(float(0), float(0)), located(0, 0)},
		{"limits", at(float(-90), float(180)), located(-90, 180)},
		{"whole numbers", at(mmdbtype.Int32(-33), mmdbtype.Uint16(151)), located(-33, 151)},
		{"single precision", at(mmdbtype.Float32(-33.5), mmdbtype.Float32(151.5)), located(-33.5, 151.5)},
		{"beyond the pole", at(float(90.1), float(0)), unlocated},
		{"beyond the date line", at(float(0), float(-180.1)), unlocated},
		{"not a number", at(float(math.NaN()), float(0)), unlocated},
		{"infinite", at(float(0), float(math.Inf(1))), unlocated},
		{"half", object{"latitude": float(1)}, unlocated},
		{"words", at(text("north"), text("")), unlocated},
		{"infinite in text", at(text("Inf"), text("NaN")), unlocated},
		{"something else", at(mmdbtype.Bool(true), mmdbtype.Slice{}), unlocated},
	} {
		record := object{"country_code": text("SE")}
		if tt.record["city"] != nil || tt.record["country_code"] != nil {
			delete(record, "country_code")
		}
		for name, value := range tt.record {
			record[name] = value
		}
		db := newFiles(t, mmdb(t, mmdbwriter.Options{}, map[string]object{"81.2.69.0/24": record}), nil).open()
		if got := db.Lookup(london).Place; got == nil || *got != *tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}

	for _, tt := range []struct {
		name   string
		record object
		asn    uint32
		org    string
	}{
		{"no organisation", object{"autonomous_system_number": mmdbtype.Uint32(4294967295)}, 4294967295, ""},
		{"no number", object{"autonomous_system_organization": text("Nobody")}, 0, "Nobody"},
		{"neither", object{"autonomous_system_number": mmdbtype.Uint32(0), "autonomous_system_organization": text("")}, 0, ""},
		{"too high", object{"asn": text("AS4294967296"), "as_name": text("x")}, 0, "x"},
		{"negative", object{"asn": mmdbtype.Int32(-1), "as_name": text("x")}, 0, "x"},
		{"no AS", object{"asn": text("13335")}, 13335, ""},
		{"words", object{"asn": text("ASN"), "as_name": text("x")}, 0, "x"},
		{"empty", object{"asn": text(""), "as_name": text("")}, 0, ""},
	} {
		good := object{"autonomous_system_number": mmdbtype.Uint32(1)}
		db := newFiles(t, nil, mmdb(t, mmdbwriter.Options{}, map[string]object{"1.0.0.0/24": good, "81.2.69.0/24": tt.record})).open()
		got := db.Lookup(london).Network
		if tt.asn == 0 && tt.org == "" {
			if got != nil {
				t.Errorf("%s: got %+v, want nothing", tt.name, got)
			}
		} else if got == nil || got.ASN != tt.asn || got.Org != tt.org {
			t.Errorf("%s: got %+v, want %d %q", tt.name, got, tt.asn, tt.org)
		}
	}
}

// One bad record leaves the others alone, and is logged once.
func TestDamagedRecord(t *testing.T) {
	f := newFiles(t, mmdb(t, mmdbwriter.Options{}, map[string]object{
		"81.2.69.0/24": {"city": object{"names": object{"en": text("London")}}},
		"81.2.70.0/24": {"city": object{"names": text("London")}},
	}), nil)
	db := f.open()
	f.logged()
	for range 3 {
		if got := db.Lookup(netip.MustParseAddr("81.2.70.1")); got != (Location{}) {
			t.Errorf("got %+v, want nothing", got)
		}
	}
	if log := f.logged(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "damaged record") {
		t.Errorf("logged %q, want one line", log)
	}
	if got := city(db); got != "London" || db.Files()[0].State != Loaded {
		t.Errorf("the other record: got %q", got)
	}
}

func FuzzLookup(f *testing.F) {
	nested := object{"country": object{"iso_code": text("GB")}, "city": object{"names": object{"en": text("London")}},
		"location": object{"latitude": float(51.5), "longitude": float(-0.1)}}
	flat := object{"country_code": text("GB"), "city": text("London"), "latitude": text("51.5"), "longitude": float(-0.1),
		"asn": text("AS20712"), "as_name": text("Andrews & Arnold Ltd")}
	for _, record := range []object{nested, flat, {"autonomous_system_number": mmdbtype.Uint32(20712)}} {
		for _, size := range []int{24, 28, 32} {
			small := mmdbwriter.Options{IPVersion: 4, RecordSize: size, IncludeReservedNetworks: true}
			f.Add(mmdb(f, small, map[string]object{"81.0.0.0/8": record}), uint16(0), byte(0), uint32(0x51024501))
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, at uint16, change byte, ip uint32) {
		if int(at) < len(content) {
			content = bytes.Clone(content)
			content[at] ^= change
		}
		files := newFiles(t, content, content)
		db := Open(files.city, files.asn, slog.New(slog.DiscardHandler))
		defer db.Close()
		v4 := netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
		v6 := netip.AddrFrom16([16]byte{0x20, byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip), 15: 1})
		for _, ip := range []netip.Addr{v4, v6, london, netip.MustParseAddr("2003::1")} {
			l := db.Lookup(ip)
			if p := l.Place; p != nil && (len(p.Country)|2 != 2 || len(p.Continent)|2 != 2 || len(p.City) > 200 || math.Abs(p.Lat) > 90) {
				t.Errorf("%v: %+v", ip, p)
			}
			if n := l.Network; n != nil && (!n.Prefix.Contains(ip) || len(n.Org) > 200) {
				t.Errorf("%v: %+v", ip, n)
			}
		}
	})
}
