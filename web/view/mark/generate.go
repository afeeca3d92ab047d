//go:build ignore

// This program draws the mark of web/view/static/favicon.svg as PNG, for the home screens of
// phones. It fills the whole square, since phones cut out of it what shape they like:
//
//	go run web/view/mark/generate.go 180 > web/view/static/icon-180.png
package main

import (
	"image"
	"image/color"
	"image/png"
	"log"
	"math"
	"os"
	"strconv"
)

// The mark, in the favicon's units: a ring with the hands of a clock.
const (
	side, stroke     = 32, 2.5
	centerX, centerY = 16, 16
	radius           = 8.5
)

var hands = [][2]float64{{16, 11}, {16, 16}, {19.5, 18.5}}

var ground, ink = [3]float64{0x17, 0x6b, 0x61}, [3]float64{0xff, 0xff, 0xff}

// shades are the colours from the ground to the ink: few, so that the file is small.
const shades = 16

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: generate PIXELS > FILE")
	}
	pixels, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var palette color.Palette
	for i := range shades {
		at := func(c int) uint8 { return uint8(math.Round(ground[c] + (ink[c]-ground[c])*float64(i)/(shades-1))) }
		palette = append(palette, color.RGBA{at(0), at(1), at(2), 0xff})
	}
	img := image.NewPaletted(image.Rect(0, 0, pixels, pixels), palette)
	unit := side / float64(pixels) // of one pixel
	for y := range pixels {
		for x := range pixels {
			covered := 0.5 - toMark((float64(x)+0.5)*unit, (float64(y)+0.5)*unit)/unit
			img.SetColorIndex(x, y, uint8(math.Round(min(max(covered, 0), 1)*(shades-1))))
		}
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(os.Stdout, img); err != nil {
		log.Fatal(err)
	}
}

// toMark is how far a point is from the edge of the mark's strokes, below 0 inside.
func toMark(x, y float64) float64 {
	nearest := math.Abs(math.Hypot(x-centerX, y-centerY) - radius)
	for i := 1; i < len(hands); i++ {
		nearest = min(nearest, toSegment(x, y, hands[i-1], hands[i]))
	}
	return nearest - stroke/2
}

func toSegment(x, y float64, from, to [2]float64) float64 {
	dx, dy := to[0]-from[0], to[1]-from[1]
	along := min(max(((x-from[0])*dx+(y-from[1])*dy)/(dx*dx+dy*dy), 0), 1)
	return math.Hypot(x-from[0]-along*dx, y-from[1]-along*dy)
}
