package view

import "time"

// chartDay is how many sign-ins a day saw.
type ChartDay struct {
	Day               time.Time
	Succeeded, Failed int
}

// chart draws sign-ins by day as bars, failed ones standing on the succeeded.
type Chart struct {
	Days              []chartBar
	Succeeded, Failed int
	Most              int // the highest bar
}

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

func NewChart(days []ChartDay) *Chart {
	c := &Chart{}
	for _, d := range days {
		c.Succeeded += d.Succeeded
		c.Failed += d.Failed
		c.Most = max(c.Most, d.Succeeded+d.Failed)
	}
	unit := float64(chartHeight-2) / float64(max(c.Most, 4))
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
