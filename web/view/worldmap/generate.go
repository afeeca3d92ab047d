//go:build ignore

// This program draws the outline of the world, web/view/static/world.svg, from a TopoJSON
// file of the land at 1:110m. The data is Natural Earth's (https://www.naturalearthdata.com),
// which is in the public domain; the npm package world-atlas carries it as TopoJSON:
//
//	npm pack world-atlas && tar xzf world-atlas-2.0.2.tgz
//	go run web/view/worldmap/generate.go package/land-110m.json > web/view/static/world.svg
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"strings"

	"lastseen/web/view/worldmap"
)

// tolerance is how far, in units of the view box, the outline may stray from the data;
// smallest is the least area of an island that is drawn.
const (
	tolerance = 0.4
	smallest  = 2.0
	south     = -58.0 // rings that reach below are Antarctica
)

type topology struct {
	Transform struct{ Scale, Translate [2]float64 }
	Arcs      [][][2]float64
	Objects   map[string]struct {
		Geometries []struct {
			Type string
			Arcs [][][]int
		}
	}
}

type point struct{ x, y float64 }

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run web/view/worldmap/generate.go land-110m.json > web/view/static/world.svg")
	}
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var t topology
	if err := json.Unmarshal(data, &t); err != nil {
		log.Fatal(err)
	}
	land, ok := t.Objects["land"]
	if !ok {
		log.Fatal("no object called land in the file")
	}
	var path strings.Builder
	for _, g := range land.Geometries {
		if g.Type != "MultiPolygon" {
			log.Fatalf("geometry is %s, want MultiPolygon", g.Type)
		}
		for _, polygon := range g.Arcs {
			for _, ring := range polygon {
				for _, part := range cut(t.ring(ring)) {
					draw(&path, part)
				}
			}
		}
	}
	fmt.Printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d">`+
		`<!-- Made by web/view/worldmap/generate.go from Natural Earth, which is in the public domain. -->`+
		`<path id="land" d="%s"/></svg>`+"\n", worldmap.Width, worldmap.Height, path.String())
}

// ring joins arcs to one closed ring of degrees; ~i means arc i backwards.
func (t *topology) ring(arcs []int) []point {
	var ring []point
	for _, n := range arcs {
		i, back := n, n < 0
		if back {
			i = ^n
		}
		var arc []point
		var x, y float64
		for _, d := range t.Arcs[i] { // each point is given as the step from the last
			x, y = x+d[0], y+d[1]
			arc = append(arc, point{
				x*t.Transform.Scale[0] + t.Transform.Translate[0],
				y*t.Transform.Scale[1] + t.Transform.Translate[1],
			})
		}
		if back {
			for l, r := 0, len(arc)-1; l < r; l, r = l+1, r-1 {
				arc[l], arc[r] = arc[r], arc[l]
			}
		}
		if len(ring) > 0 {
			arc = arc[1:] // arcs share their ends
		}
		ring = append(ring, arc...)
	}
	return ring
}

// cut divides a ring that crosses the 180th meridian, such as Russia's, into the parts
// on its two sides.
func cut(ring []point) [][]point {
	turn := 0.0
	whole := []point{ring[0]}
	for i := 1; i < len(ring); i++ {
		switch step := ring[i].x - ring[i-1].x; {
		case step > 180:
			turn -= 360
		case step < -180:
			turn += 360
		}
		whole = append(whole, point{ring[i].x + turn, ring[i].y})
	}
	var parts [][]point
	for _, shift := range []float64{-360, 0, 360} {
		part := make([]point, len(whole))
		for i, p := range whole {
			part[i] = point{p.x + shift, p.y}
		}
		part = clip(part, func(x float64) float64 { return x + 180 })
		part = clip(part, func(x float64) float64 { return 180 - x })
		if len(part) > 3 {
			parts = append(parts, part)
		}
	}
	return parts
}

// clip keeps what of a closed ring has inside(x) >= 0 (Sutherland and Hodgman's way).
func clip(ring []point, inside func(x float64) float64) []point {
	var kept []point
	for i := 1; i < len(ring); i++ {
		a, b := ring[i-1], ring[i]
		da, db := inside(a.x), inside(b.x)
		if da >= 0 {
			kept = append(kept, a)
		}
		if da*db < 0 {
			f := da / (da - db)
			kept = append(kept, point{a.x + f*(b.x-a.x), a.y + f*(b.y-a.y)})
		}
	}
	if len(kept) > 0 {
		kept = append(kept, kept[0])
	}
	return kept
}

func draw(path *strings.Builder, ring []point) {
	projected := make([]point, len(ring))
	for i, p := range ring {
		if p.y < south {
			return
		}
		x, y := worldmap.Project(p.y, p.x)
		projected[i] = point{x, y}
	}
	if area(projected) < smallest {
		return
	}
	// A closed ring has no ends to simplify between: cut it at its far side.
	half := len(projected) / 2
	line := append(simplify(projected[:half+1]), simplify(projected[half:])[1:]...)

	var last [2]int
	for i, p := range line[:len(line)-1] {
		at := [2]int{int(math.Round(p.x * 10)), int(math.Round(p.y * 10))}
		dx, dy := at[0]-last[0], at[1]-last[1]
		switch {
		case i == 0:
			path.WriteString("M" + tenths(at[0]) + " " + tenths(at[1]))
			last = at
			continue
		case dx == 0 && dy == 0:
			continue
		case i == 1:
			path.WriteString("l")
		case dx >= 0:
			path.WriteString(" ")
		}
		path.WriteString(tenths(dx))
		if dy >= 0 {
			path.WriteString(" ")
		}
		path.WriteString(tenths(dy))
		last = at
	}
	path.WriteString("z")
}

func tenths(n int) string {
	s := strconv.FormatFloat(float64(n)/10, 'f', -1, 64)
	s = strings.Replace(s, "-0.", "-.", 1)
	if strings.HasPrefix(s, "0.") {
		s = s[1:]
	}
	return s
}

func area(ring []point) float64 {
	var a float64
	for i := 1; i < len(ring); i++ {
		a += ring[i-1].x*ring[i].y - ring[i].x*ring[i-1].y
	}
	return math.Abs(a) / 2
}

// simplify is Douglas and Peucker's: it keeps the ends and whatever lies further than
// tolerance from the line between them.
func simplify(line []point) []point {
	first, last := line[0], line[len(line)-1]
	far, at := 0.0, 0
	for i := 1; i < len(line)-1; i++ {
		if d := distance(line[i], first, last); d > far {
			far, at = d, i
		}
	}
	if far <= tolerance {
		return []point{first, last}
	}
	return append(simplify(line[:at+1]), simplify(line[at:])[1:]...)
}

func distance(p, a, b point) float64 {
	dx, dy := b.x-a.x, b.y-a.y
	length := math.Hypot(dx, dy)
	if length == 0 {
		return math.Hypot(p.x-a.x, p.y-a.y)
	}
	return math.Abs(dx*(a.y-p.y)-(a.x-p.x)*dy) / length
}
