// Package sample carries two small databases of places and networks for the
// demo and for tests. They are made from networks.csv and say only roughly what
// is true: no instance should use them.
package sample

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"net/netip"
	"strconv"
)

//go:generate go test -run TestFiles -update .

// City and ASN are MaxMind DB files in the layout of GeoLite2.
var (
	//go:embed city.mmdb
	City []byte
	//go:embed asn.mmdb
	ASN []byte
)

//go:embed networks.csv
var table []byte

// A Network is a row of the table.
type Network struct {
	Prefix                   netip.Prefix
	Use                      string // home, office, mobile, hosting or vpn
	Continent, Country, City string
	Located                  bool
	Lat, Long                float64
	AccuracyKm               uint16
	ASN                      uint32
	Org                      string
}

// Networks is the table that the databases are made from.
func Networks() ([]Network, error) {
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("networks.csv: %w", err)
	}
	var all []Network
	for i, row := range rows[1:] {
		n := Network{Use: row[1], Continent: row[2], Country: row[3], City: row[4], Org: row[9]}
		if n.Prefix, err = netip.ParsePrefix(row[0]); err != nil {
			return nil, fmt.Errorf("networks.csv, line %d: %w", i+2, err)
		}
		if row[5] != "" {
			lat, latErr := strconv.ParseFloat(row[5], 64)
			long, longErr := strconv.ParseFloat(row[6], 64)
			accuracy, accuracyErr := strconv.ParseUint(row[7], 10, 16)
			if latErr != nil || longErr != nil || accuracyErr != nil {
				return nil, fmt.Errorf("networks.csv, line %d: no coordinates in %q", i+2, row[5:8])
			}
			n.Located, n.Lat, n.Long, n.AccuracyKm = true, lat, long, uint16(accuracy)
		}
		asn, err := strconv.ParseUint(row[8], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("networks.csv, line %d: %w", i+2, err)
		}
		n.ASN = uint32(asn)
		all = append(all, n)
	}
	return all, nil
}
