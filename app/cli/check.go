package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"lastseen/app"
	"lastseen/geoip"

	"github.com/urfave/cli/v3"
)

// geoipLookup opens the files alone: it needs no data directory.
func (p *Program) geoipLookup(_ context.Context, c *cli.Command) error {
	args := c.Args().Slice()
	ip, err := netip.ParseAddr(args[0])
	if err != nil {
		return usagef("%q is no address", args[0])
	}
	config, log, _, err := p.settingsBeside(c)
	if err != nil {
		return err
	}
	files := geoip.Open(config.GeoIPCity, config.GeoIPASN, quietly(log))
	defer files.Close()
	location := files.Lookup(ip)
	rows := [][]string{{"address", ip.String()}, {"scope", string(geoip.ScopeOf(ip))}}
	if l := location.Place; l != nil {
		rows = append(rows, []string{"continent", l.Continent}, []string{"country", l.Country}, []string{"city", l.City})
		if l.Located {
			at := fmt.Sprintf("%.4f, %.4f", l.Lat, l.Long)
			if l.CountryOnly {
				at += " (the middle of the country; the record has none)"
			}
			rows = append(rows, []string{"coordinates", at})
		}
	} else {
		rows = append(rows, []string{"place", "unknown"})
	}
	if n := location.Network; n != nil {
		rows = append(rows, []string{"network", n.Prefix.String()}, []string{"AS number", fmt.Sprint(n.ASN)}, []string{"organisation", n.Org})
	} else {
		rows = append(rows, []string{"network", "unknown"})
	}
	bad := false
	now := time.Now()
	for _, f := range files.Files() {
		rows = append(rows, []string{f.Kind + " file", f.Describe(now)})
		bad = bad || f.State == geoip.Failed
	}
	if err := p.table(rows); err != nil {
		return err
	}
	if bad {
		return errors.New("a GeoIP file is bad: replace it, or leave it away")
	}
	return nil
}

// doctor judges the settings that the running server has, whatever those of the shell are.
func (p *Program) doctor(ctx context.Context, c *cli.Command) error {
	cfg, log, err := p.settings(c)
	if err != nil {
		return err
	}
	cfg, served, hidden, err := cfg.AsServed(flags(c), p.variable)
	if err != nil {
		return fmt.Errorf("the server's settings: %w", err)
	}
	if served {
		fmt.Fprintln(p.Err, "By the settings that the server was started with.")
	}
	for _, name := range hidden {
		fmt.Fprintf(p.Err, "The server has --%s, which is secret: only the page of the doctor knows it.\n", name)
	}
	return p.open(ctx, c, cfg, log, false, p.checks)
}

// checks prints the app's checks, and fails when something is bad.
func (p *Program) checks(ctx context.Context, _ *cli.Command, a *app.App) error {
	_ = a.Verify(ctx) // the doctor tells what it finds
	bad := 0
	for _, check := range a.Doctor(ctx) {
		const indent = 9
		found := wrap(p.width(), check.Name+": "+printable(check.Found.String()), indent, indent)
		fmt.Fprintf(p.Out, "%-*s%s", indent, check.State, found[indent:])
		if check.Do != nil {
			fmt.Fprint(p.Out, wrap(p.width(), check.Do.String(), indent, indent))
		}
		if check.State == app.Bad {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d checks are bad", bad)
	}
	return nil
}

// healthcheck asks the server with these settings whether it is ready.
func (p *Program) healthcheck(ctx context.Context, c *cli.Command) error {
	config, _, _, err := p.settingsBeside(c)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(config.Listen)
	if err != nil || port == "0" {
		return usagef("--listen: a health check needs the port, is %q", config.Listen)
	}
	switch host { // a container may not know localhost
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/-/health/ready/", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{Proxy: nil}}).Do(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: status %d, the server's log says why", response.StatusCode)
	}
	return nil
}
