// Package worldmap says where on our outline of the world a place lies. The outline
// itself, web/view/static/world.svg, is drawn by generate.go with the same projection.
package worldmap

import "math"

// Width and Height are the size of the outline's view box. Height leaves out
// Antarctica, from where nobody signs in, and the sea north of Greenland.
const (
	Width  = 800
	Height = 350

	scale = Width / (2 * math.Pi * 0.8707)
	north = 1.384 // the projected latitude of the top edge
)

// Project returns the point of the outline for a latitude and longitude in degrees.
// The projection is Natural Earth, by Tom Patterson, in the polynomial form of
// Bojan Šavrič: https://doi.org/10.1080/15230406.2015.1014425.
// Places south of the outline come out below Height.
func Project(lat, long float64) (x, y float64) {
	p, l := lat*math.Pi/180, long*math.Pi/180
	p2 := p * p
	p4 := p2 * p2
	px := l * (0.8707 - 0.131979*p2 + p4*(-0.013791+p4*(0.003971*p2-0.001529*p4)))
	py := p * (1.007226 + p2*(0.015085+p4*(-0.044475+0.028874*p2-0.005916*p4)))
	return Width/2 + px*scale, (north - py) * scale
}
