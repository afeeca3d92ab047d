package geoip

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

// testdata is a folder with MaxMind's test databases
// (https://github.com/maxmind/MaxMind-DB).
func testdata(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LASTSEEN_TESTDATA")
	if dir == "" {
		t.Skip("LASTSEEN_TESTDATA names no folder with MaxMind's test databases")
	}
	return filepath.Join(dir, "mmdb")
}

// A sourceRecord is what a record of the test databases was made from.
type sourceRecord struct {
	Continent struct{ Code string }
	Country   struct {
		Code string `json:"iso_code"`
	}
	City     struct{ Names struct{ En string } }
	Location struct {
		Latitude, Longitude *float64
		AccuracyRadius      uint16 `json:"accuracy_radius"`
	}
	Number       uint32 `json:"autonomous_system_number"`
	Organization string `json:"autonomous_system_organization"`
}

// readSource reads a file of them, by prefix, and leaves out what is not public.
func readSource(t *testing.T, path string) map[netip.Prefix]sourceRecord {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[netip.Prefix]sourceRecord
	if err := json.Unmarshal(content, &list); err != nil {
		t.Fatal(err)
	}
	all := map[netip.Prefix]sourceRecord{}
	for _, item := range list {
		for p, record := range item {
			// ::1.2.3.0/120 and 1.2.3.0/24 are one in a file.
			if b := p.Addr().As16(); p.Addr().Is6() && p.Bits() >= 96 && [12]byte(b[:]) == [12]byte{} {
				p = netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), p.Bits()-96)
			}
			if ScopeOf(p.Addr()) == Public {
				all[p] = record
			}
		}
	}
	return all
}

// What a lookup says is what the file was made from.
func TestMaxMind(t *testing.T) {
	dir := testdata(t)
	db := Open(filepath.Join(dir, "GeoLite2-City-Test.mmdb"), filepath.Join(dir, "GeoLite2-ASN-Test.mmdb"), slog.New(slog.DiscardHandler))
	defer db.Close()
	cities := readSource(t, filepath.Join(dir, "GeoLite2-City-Test.json"))
	for prefix, record := range cities {
		want := Place{Continent: record.Continent.Code, Country: record.Country.Code, City: record.City.Names.En}
		if l := record.Location; l.Latitude != nil && l.Longitude != nil {
			want.Lat, want.Long, want.Located, want.AccuracyKm = *l.Latitude, *l.Longitude, true, l.AccuracyRadius
		}
		want = centred(want)
		got := db.Lookup(prefix.Addr()).Place
		if got == nil && want != (Place{}) || got != nil && *got != want {
			t.Errorf("%v: got %+v, want %+v", prefix, got, want)
		}
	}
	networks := readSource(t, filepath.Join(dir, "GeoLite2-ASN-Test.json"))
	for prefix, want := range networks {
		got := db.Lookup(prefix.Addr()).Network
		// The file joins neighbouring networks with equal records.
		if got == nil || got.ASN != want.Number || got.Org != want.Organization ||
			!got.Prefix.Contains(prefix.Addr()) || got.Prefix.Bits() > prefix.Bits() {
			t.Errorf("%v: got %+v, want %+v", prefix, got, want)
		}
	}
	t.Logf("checked %d places and %d networks", len(cities), len(networks))
}

// Databases that are broken on purpose may say anything, and end nothing.
func TestBroken(t *testing.T) {
	dir := testdata(t)
	var ips []netip.Addr
	for _, name := range []string{"GeoLite2-City-Test.json", "GeoLite2-ASN-Test.json"} {
		for prefix := range readSource(t, filepath.Join(dir, name)) {
			ips = append(ips, prefix.Addr())
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		bits := random.Uint32()
		b := [4]byte{byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)}
		ips = append(ips, netip.AddrFrom4(b), netip.AddrFrom16([16]byte{0x20, 0x01, b[0], b[1], b[2], b[3]}))
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".mmdb" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f := newFiles(t, content, content)
		db := f.open()
		f.logged()
		for _, ip := range ips {
			db.Lookup(ip)
		}
		if n := strings.Count(f.logged(), "\n"); n > 2 {
			t.Errorf("%s: logged %d times", path, n)
		}
		// Most were turned down; had they not been:
		reader, err := maxminddb.OpenBytes(content)
		if err != nil {
			return nil
		}
		for _, ip := range ips {
			err := guard(func() error {
				for _, layout := range places {
					_, _ = layout(reader.Lookup(ip))
				}
				_, _ = network(reader.Lookup(ip))
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v: %v", path, ip, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
