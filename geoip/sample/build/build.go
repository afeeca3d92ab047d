// Package build makes MaxMind DB files in the layout of GeoLite2, for the
// sample databases and for tests. It is not part of the program.
package build

import (
	"bytes"
	"fmt"
	"net"

	"lastseen/geoip/sample"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// epoch is when the databases say they were built: fixed, so that the same
// table makes the same bytes.
const epoch = 1793577600 // 2 November 2026

func write(networks []sample.Network, databaseType string, into *bytes.Buffer, record func(sample.Network) mmdbtype.Map) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: databaseType,
		Description:  map[string]string{"en": "Sample data for demonstrations; not for real use"},
		BuildEpoch:   epoch,
		Languages:    []string{"en"},
		RecordSize:   24,
	})
	if err != nil {
		return err
	}
	for _, n := range networks {
		ip := net.IPNet{IP: n.Prefix.Addr().AsSlice(), Mask: net.CIDRMask(n.Prefix.Bits(), n.Prefix.Addr().BitLen())}
		if err := tree.Insert(&ip, record(n)); err != nil {
			return fmt.Errorf("%s: %w", n.Prefix, err)
		}
	}
	_, err = tree.WriteTo(into)
	return err
}

// City writes a database of places.
func City(networks []sample.Network, into *bytes.Buffer) error {
	return write(networks, "Lastseen-Sample-City", into, func(n sample.Network) mmdbtype.Map {
		m := mmdbtype.Map{
			"continent": mmdbtype.Map{"code": mmdbtype.String(n.Continent)},
			"country":   mmdbtype.Map{"iso_code": mmdbtype.String(n.Country)},
		}
		if n.City != "" {
			m["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(n.City)}}
		}
		if n.Located {
			m["location"] = mmdbtype.Map{
				"latitude": mmdbtype.Float64(n.Lat), "longitude": mmdbtype.Float64(n.Long), "accuracy_radius": mmdbtype.Uint16(n.AccuracyKM),
			}
		}
		return m
	})
}

// ASN writes a database of networks.
func ASN(networks []sample.Network, into *bytes.Buffer) error {
	return write(networks, "Lastseen-Sample-ASN", into, func(n sample.Network) mmdbtype.Map {
		m := mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(n.ASN)}
		if n.Org != "" {
			m["autonomous_system_organization"] = mmdbtype.String(n.Org)
		}
		return m
	})
}
