package view

import "time"

// ChartDay is how many sign-ins a day saw.
type ChartDay struct {
	Day               time.Time
	Succeeded, Failed int
}

// Chart draws sign-ins by day as bars, failed ones standing on the succeeded.
type Chart struct {
	Days              []chartBar
	Succeeded, Failed int
	Top               int // what the axis ends at: even, and no less than the highest bar
}

// Half is the middle of the axis, and Middle where it is drawn.
func (c *Chart) Half() int     { return c.Top / 2 }
func (*Chart) Middle() float64 { return chartHeight / 2 }

// First and Mid are the days at the beginning and in the middle.
func (c *Chart) First() time.Time { return c.Days[0].Day }
func (c *Chart) Mid() time.Time   { return c.Days[len(c.Days)/2].Day }

// Height and Width are of the view box; a day is ten wide.
func (*Chart) Height() int  { return chartHeight }
func (c *Chart) Width() int { return 10 * len(c.Days) }

const chartHeight = 110

type chartBar struct {
	ChartDay
	X                      int
	SucceededY, SucceededH float64
	FailedY, FailedH       float64
}

// NewChart draws days; nil where they are so empty that there is nothing to see: none, or
// a single sign-in.
func NewChart(days []ChartDay) *Chart {
	c := &Chart{}
	most := 0
	for _, d := range days {
		c.Succeeded += d.Succeeded
		c.Failed += d.Failed
		most = max(most, d.Succeeded+d.Failed)
	}
	if c.Failed == 0 && c.Succeeded < 2 {
		return nil
	}
	c.Top = axisTop(most)
	unit := chartHeight / float64(c.Top)
	for i, d := range days {
		b := chartBar{ChartDay: d, X: 10 * i}
		b.SucceededH = tenth(float64(d.Succeeded) * unit)
		b.SucceededY = tenth(chartHeight - b.SucceededH)
		b.FailedH = tenth(float64(d.Failed) * unit)
		b.FailedY = tenth(b.SucceededY - b.FailedH)
		c.Days = append(c.Days, b)
	}
	return c
}

// axisTop is a round and even number, no less than most.
func axisTop(most int) int {
	for tens := 1; ; tens *= 10 {
		for _, top := range []int{2, 4, 6, 8, 10} {
			if most <= top*tens {
				return top * tens
			}
		}
	}
}
