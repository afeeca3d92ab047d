package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is what a run found. Its samples are medians of the rounds.
type report struct {
	Proxies []proxyRow  `json:",omitempty"`
	Beside  []besideRow `json:",omitempty"`
	Single  []singleRow `json:",omitempty"`
	Mixed   *mixedRow   `json:",omitempty"`
	Peer    *peerRow    `json:",omitempty"`
	Starts  []startRow  `json:",omitempty"`
	Memory  []memoryRow `json:",omitempty"`
	Binary  int64       `json:",omitempty"` // bytes
}

type proxyRow struct {
	Name, Version        string
	Without, Ours, Floor figures // as the gate
}

type besideRow struct {
	Name        string
	Sessions    int
	Ours, Floor figures
	Gin         *figures `json:",omitempty"`
}

type singleRow struct {
	Name     string
	Sessions int
	Sample   figures
}

type mixedRow struct {
	Rate        int
	Quiet, Busy figures
}

type peerRow struct {
	Version      string
	Sessions     int
	Ours, Theirs figures
}

type startRow struct {
	Name   string
	Millis float64
}

type memoryRow struct {
	Name string
	memory
}

// median takes the median of each figure by itself.
func median(samples []figures) figures {
	of := func(figure func(figures) float64) float64 {
		var all []float64
		for _, s := range samples {
			all = append(all, figure(s))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return figures{
		PerSecond: of(func(s figures) float64 { return s.PerSecond }),
		CPU:       of(func(s figures) float64 { return s.CPU }),
		P50:       of(func(s figures) float64 { return s.P50 }),
		P99:       of(func(s figures) float64 { return s.P99 }),
	}
}

// thousands writes a number for people.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func (r report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %d cores, %s, %s\n", processor(), runtime.NumCPU(), runtime.Version(), time.Now().Format("2 January 2006"))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	defer t.Flush()
	if len(r.Proxies) > 0 {
		fmt.Fprintln(t, "\nAn app behind a proxy\tits gate\trequests/s\tCPU µs\ttimes the floor's\tp50 ms\tp99 ms")
	}
	for _, row := range r.Proxies {
		name := row.Name + " " + row.Version
		if row.Ours == (figures{}) {
			fmt.Fprintln(t, name)
			continue
		}
		for _, way := range []struct {
			gate string
			figures
		}{{"none", row.Without}, {"Lastseen", row.Ours}, {"a bare server", row.Floor}} {
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.1f\t%.2f\t%.2f\t%.2f\n", name, way.gate, way.PerSecond, way.CPU, way.CPU/row.Floor.CPU, way.P50, way.P99)
		}
	}
	if len(r.Beside) > 0 {
		fmt.Fprintln(t, "\nAs fast as it goes\tsessions\trequests/s\tfloor\tshare\tCPU µs\tfloor\ttimes\tgin\tp50 ms\tp99 ms\tfloor p50\tp99")
	}
	for _, row := range r.Beside {
		gin := ""
		if row.Gin != nil {
			gin = fmt.Sprintf("%.1f", row.Gin.CPU)
		}
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.2f\t%.1f\t%.1f\t%.2f\t%s\t%.2f\t%.2f\t%.2f\t%.2f\n", row.Name, thousands(row.Sessions),
			row.Ours.PerSecond, row.Floor.PerSecond, row.Ours.PerSecond/row.Floor.PerSecond,
			row.Ours.CPU, row.Floor.CPU, row.Ours.CPU/row.Floor.CPU, gin, row.Ours.P50, row.Ours.P99, row.Floor.P50, row.Floor.P99)
	}
	if len(r.Single) > 0 {
		fmt.Fprintln(t, "\nOne after another\tsessions\tp50 ms\tp99 ms\tCPU ms")
	}
	for _, row := range r.Single {
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%.2f\n", row.Name, thousands(row.Sessions), row.Sample.P50, row.Sample.P99, row.Sample.CPU/1000)
	}
	if m := r.Mixed; m != nil {
		fmt.Fprintf(t, "\nGate, %d checks/s\tp50 ms\tp99 ms\n", m.Rate)
		fmt.Fprintf(t, "alone\t%.2f\t%.2f\n", m.Quiet.P50, m.Quiet.P99)
		fmt.Fprintf(t, "beside 1,000 sign-outs, uses and lists/s\t%.2f\t%.2f\n", m.Busy.P50, m.Busy.P99)
	}
	if p := r.Peer; p != nil {
		fmt.Fprintf(t, "\nRetrieve, %s sessions\trequests/s\tCPU µs\ttimes\n", thousands(p.Sessions))
		fmt.Fprintf(t, "Lastseen\t%.0f\t%.1f\t1\n", p.Ours.PerSecond, p.Ours.CPU)
		fmt.Fprintf(t, "PocketBase %s\t%.0f\t%.1f\t%.1f\n", p.Version, p.Theirs.PerSecond, p.Theirs.CPU, p.Theirs.CPU/p.Ours.CPU)
	}
	if len(r.Starts) > 0 {
		fmt.Fprintln(t, "\nStart to ready\tms")
	}
	for _, row := range r.Starts {
		fmt.Fprintf(t, "%s\t%.0f\n", row.Name, row.Millis)
	}
	if len(r.Memory) > 0 {
		fmt.Fprintln(t, "\nMemory, MB\tprivate\tfile-backed\tPSS")
	}
	for _, row := range r.Memory {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\n", row.Name, megabytes(row.Private), megabytes(row.File), megabytes(row.PSS))
	}
	if r.Binary > 0 {
		fmt.Fprintf(t, "\nBinary\t%.1f MB\n", megabytes(r.Binary))
	}
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}
