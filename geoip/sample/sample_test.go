package sample

import (
	"bytes"
	"flag"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

var update = flag.Bool("update", false, "make city.mmdb and asn.mmdb from networks.csv")

// built is when networks.csv was last changed.
var built = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// The generator is a test, so that no part of the program needs the writer.
func TestFiles(t *testing.T) {
	for _, file := range []struct {
		name, databaseType string
		embedded           []byte
		record             func(Network) mmdbtype.Map
	}{
		{"city.mmdb", "Lastseen-Sample-City", City, placeRecord},
		{"asn.mmdb", "Lastseen-Sample-ASN", ASN, networkRecord},
	} {
		made := build(t, file.databaseType, file.record)
		if *update {
			if err := os.WriteFile(file.name, made, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(made, file.embedded) {
			t.Errorf("%s is not what networks.csv makes: run go generate", file.name)
		}
	}
}

func build(t *testing.T, databaseType string, record func(Network) mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: databaseType,
		Description:  map[string]string{"en": "Sample data for demonstrations; not for real use"},
		Languages:    []string{"en"},
		BuildEpoch:   built.Unix(),
		RecordSize:   24,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks(t) {
		_, prefix, err := net.ParseCIDR(n.Prefix.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(prefix, record(n)); err != nil {
			t.Fatalf("%v: %v", n.Prefix, err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func placeRecord(n Network) mmdbtype.Map {
	record := mmdbtype.Map{"continent": mmdbtype.Map{"code": mmdbtype.String(n.Continent)}}
	if n.Country != "" {
		record["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(n.Country)}
	}
	if n.City != "" {
		record["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(n.City)}}
	}
	if n.Located {
		record["location"] = mmdbtype.Map{
			"latitude": mmdbtype.Float64(n.Lat), "longitude": mmdbtype.Float64(n.Long),
			"accuracy_radius": mmdbtype.Uint16(n.AccuracyKm),
		}
	}
	return record
}

func networkRecord(n Network) mmdbtype.Map {
	record := mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(n.ASN)}
	if n.Org != "" {
		record["autonomous_system_organization"] = mmdbtype.String(n.Org)
	}
	return record
}

func networks(t *testing.T) []Network {
	t.Helper()
	all, err := Networks()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTable(t *testing.T) {
	var prefixes []netip.Prefix
	continents, uses := map[string]int{}, map[string]int{}
	for _, n := range networks(t) {
		if n.Prefix != n.Prefix.Masked() {
			t.Errorf("%v has host bits", n.Prefix)
		}
		if i := slices.IndexFunc(prefixes, n.Prefix.Overlaps); i >= 0 {
			t.Errorf("%v overlaps %v", n.Prefix, prefixes[i])
		}
		prefixes = append(prefixes, n.Prefix)
		continents[n.Continent]++
		uses[n.Use]++
	}
	if len(continents) != 6 {
		t.Errorf("continents: got %v, want six", continents)
	}
	for _, use := range []string{"home", "office", "mobile", "hosting", "vpn"} {
		if uses[use] == 0 {
			t.Errorf("no network for %s", use)
		}
	}
}
