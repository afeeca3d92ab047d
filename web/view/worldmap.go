package view

import (
	"cmp"
	"math"
	"slices"

	"lastseen/web/view/worldmap"
)

// Dot is a place on the map of the world and how many sessions it stands for.
type Dot struct {
	Lat, Long float64
	Count     int
	Label     string // "London, United Kingdom"
	URL       string // the list of the sessions meant
}

// cluster is one circle on the map, in the units of its view box.
type cluster struct {
	Dot     // the largest of its places; Count is of all
	More    int
	X, Y, R float64
}

type WorldMap struct {
	Clusters []cluster
	Places   []Dot // the same as a list, most first
	Unplaced int   // sessions of which no place is known
}

func (*WorldMap) Width() int  { return worldmap.Width }
func (*WorldMap) Height() int { return worldmap.Height }

// NewWorldMap joins dots that lead to the same list and lie so close together that one
// would cover the other. Circles grow with the square root of their count, so that
// areas compare, and large ones lie below small ones.
func NewWorldMap(dots []Dot, unplaced int) *WorldMap {
	const near = 16
	dots = slices.Clone(dots)
	slices.SortStableFunc(dots, func(a, b Dot) int { return cmp.Compare(b.Count, a.Count) })
	m := &WorldMap{Places: dots, Unplaced: unplaced}
next:
	for _, d := range dots {
		x, y := worldmap.Project(d.Lat, d.Long)
		x = min(max(x, 0), worldmap.Width)
		y = min(max(y, 0), worldmap.Height-4)
		for i := range m.Clusters {
			c := &m.Clusters[i]
			if c.URL == d.URL && math.Hypot(c.X-x, c.Y-y) < near {
				c.Count += d.Count
				c.More++
				continue next
			}
		}
		m.Clusters = append(m.Clusters, cluster{Dot: d, X: tenth(x), Y: tenth(y)})
	}
	most := 1
	for _, c := range m.Clusters {
		most = max(most, c.Count)
	}
	for i := range m.Clusters {
		c := &m.Clusters[i]
		c.R = tenth(6 + 12*math.Sqrt(float64(c.Count)/float64(most))*min(1, math.Sqrt(float64(most)/20)+0.2))
	}
	slices.SortStableFunc(m.Clusters, func(a, b cluster) int { return cmp.Compare(b.Count, a.Count) })
	return m
}

func tenth(f float64) float64 { return math.Round(f*10) / 10 }
