package geoip

import (
	"math"
	"testing"
)

// centred is a place as we show it: at its country's centre, for want of others.
func centred(p Place) Place {
	if at, ok := centres[p.Country]; ok && !p.Located {
		p.Lat, p.Long, p.Located, p.CountryOnly = at.lat, at.long, true, true
	}
	return p
}

// Every country has a centre, and it is where the country is.
func TestCentres(t *testing.T) {
	if len(centres) != 249 { // those of ISO 3166 without Bouvet Island, where nobody is, and Kosovo
		t.Errorf("got %d countries, want 249", len(centres))
	}
	for c, at := range centres {
		if code(c) != c || math.Abs(at.lat) > 90 || math.Abs(at.long) > 180 || at.lat == 0 && at.long == 0 {
			t.Errorf("%s: got %v", c, at)
		}
	}
	for code, within := range map[string][4]float64{ // south, north, west, east
		"DE": {50, 52, 9, 12}, "US": {37, 41, -103, -95}, "RU": {55, 65, 90, 110}, "FJ": {-19, -16, 177, 180}, "NZ": {-45, -38, 170, 176},
		"FR": {45, 48, 1, 4}, "NO": {60, 66, 9, 16}, "GB": {52, 57, -5, 0}, "BR": {-15, -7, -57, -50}, "ZA": {-31, -27, 22, 27},
		"JP": {35, 38, 136, 140}, "AU": {-28, -23, 131, 137}, "GF": {3, 6, -54, -51}, "SG": {1, 2, 103, 105}, "XK": {42, 43, 20, 22},
	} {
		if at := centres[code]; at.lat < within[0] || at.lat > within[1] || at.long < within[2] || at.long > within[3] {
			t.Errorf("%s: got %v, want it within %v", code, at, within)
		}
	}
}
