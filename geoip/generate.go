//go:build ignore

// This program makes centres.go from two sources in the public domain: the borders
// of Natural Earth at 1:50m (https://www.naturalearthdata.com), which the npm package
// world-atlas carries as TopoJSON, and for the few territories that are part of
// another country there, the first place that the time zone database
// (https://www.iana.org/time-zones) names in them:
//
//	npm pack world-atlas && tar xzf world-atlas-2.0.2.tgz
//	go run geoip/generate.go package/countries-50m.json /usr/share/zoneinfo/zone.tab > geoip/centres.go
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"log"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"

	"golang.org/x/text/language"
)

type topology struct {
	Transform struct{ Scale, Translate [2]float64 }
	Arcs      [][][2]float64
	Objects   struct {
		Countries struct {
			Geometries []struct {
				Type       string
				ID         string // ISO 3166-1, three digits
				Arcs       json.RawMessage
				Properties struct{ Name string }
			}
		}
	}
}

type point struct{ lat, long float64 }

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run geoip/generate.go countries-50m.json zone.tab > geoip/centres.go")
	}
	centres := map[string]point{}
	readBorders(os.Args[1], centres)
	readZones(os.Args[2], centres)

	var b bytes.Buffer
	b.WriteString("// Made by generate.go from Natural Earth and the time zone database, which are in\n// the public domain. DO NOT EDIT.\n\npackage geoip\n\n")
	b.WriteString("// centres are where the middle of each country is, by its code.\nvar centres = map[string]struct{ lat, long float64 }{\n")
	for i, code := range slices.Sorted(maps.Keys(centres)) {
		fmt.Fprintf(&b, "%q: {%.2f, %.2f},", code, centres[code].lat, centres[code].long)
		if i%5 == 4 {
			b.WriteByte('\n')
		}
	}
	b.WriteString("\n}\n")
	source, err := format.Source(b.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(source)
}

// readBorders takes the middle of the largest part of each country.
func readBorders(file string, centres map[string]point) {
	data, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	var t topology
	if err := json.Unmarshal(data, &t); err != nil {
		log.Fatal(err)
	}
	largest := map[string]float64{}
	for _, g := range t.Objects.Countries.Geometries {
		code := ""
		if number, err := strconv.Atoi(g.ID); err == nil {
			region, err := language.EncodeM49(number)
			if err != nil {
				log.Fatalf("%s: %v", g.Properties.Name, err)
			}
			code = region.String()
		} else if g.Properties.Name == "Kosovo" {
			code = "XK" // as makers of databases write it
		} else {
			continue // claimed by others
		}
		var polygons [][][]int
		if g.Type == "Polygon" {
			polygons = make([][][]int, 1)
			err = json.Unmarshal(g.Arcs, &polygons[0])
		} else {
			err = json.Unmarshal(g.Arcs, &polygons)
		}
		if err != nil {
			log.Fatalf("%s: %v", g.Properties.Name, err)
		}
		for _, polygon := range polygons {
			ring, aroundPole := unwrap(t.ring(polygon[0]))
			if centre, area := middle(ring); !aroundPole && area > largest[code] {
				centres[code], largest[code] = centre, area
			}
		}
	}
}

// ring joins arcs to one closed ring; ~i means arc i backwards.
func (t *topology) ring(arcs []int) []point {
	var ring []point
	for _, n := range arcs {
		var arc []point
		var x, y float64
		for _, d := range t.Arcs[max(n, ^n)] { // each point is given as the step from the last
			x, y = x+d[0], y+d[1]
			arc = append(arc, point{y*t.Transform.Scale[1] + t.Transform.Translate[1], x*t.Transform.Scale[0] + t.Transform.Translate[0]})
		}
		if n < 0 {
			slices.Reverse(arc)
		}
		ring = append(ring, arc...)
	}
	return ring
}

// unwrap goes on beyond 180 degrees where a ring crosses that meridian, as Russia's does.
func unwrap(ring []point) (whole []point, aroundPole bool) {
	turn := 0.0
	for i, p := range ring {
		if i > 0 {
			switch step := p.long - ring[i-1].long; {
			case step > 180:
				turn -= 360
			case step < -180:
				turn += 360
			}
		}
		whole = append(whole, point{p.lat, p.long + turn})
	}
	return whole, turn != 0
}

// middle is the centroid of a ring, and its area, both in a projection that keeps areas.
func middle(ring []point) (centre point, area float64) {
	var x, y float64
	for i, a := range ring {
		b := ring[(i+1)%len(ring)]
		ay, by := math.Sin(a.lat*math.Pi/180), math.Sin(b.lat*math.Pi/180)
		cross := a.long*by - b.long*ay
		area += cross / 2
		x += (a.long + b.long) * cross / 6
		y += (ay + by) * cross / 6
	}
	return point{math.Asin(y/area) * 180 / math.Pi, math.Remainder(x/area, 360)}, math.Abs(area)
}

// readZones adds the countries that are missing.
func readZones(file string, centres map[string]point) {
	data, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^([A-Z]{2})\t([+-])(\d\d)(\d\d)(?:\d\d)?([+-])(\d\d\d)(\d\d)(?:\d\d)?\t`)
	for _, m := range line.FindAllStringSubmatch(string(data), -1) {
		if _, ok := centres[m[1]]; !ok {
			centres[m[1]] = point{degrees(m[2:5]), degrees(m[5:8])}
		}
	}
}

// degrees reads a sign, degrees and minutes.
func degrees(parts []string) float64 {
	whole, _ := strconv.Atoi(parts[1]) // digits, as the expression says
	minutes, _ := strconv.Atoi(parts[2])
	value := float64(whole) + float64(minutes)/60
	if parts[0] == "-" {
		return -value
	}
	return value
}
