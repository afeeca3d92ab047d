package geoip

import (
	"fmt"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// A State is what has become of a file.
type State string

const (
	None   State = "none"   // there is no file
	Loaded State = "loaded" // a file is in use
	Failed State = "failed" // there is a file, but it cannot be used
)

// A File is one of the two files, for those who look after the installation.
type File struct {
	Kind  string // "city" or "asn", as in the settings
	Path  string // "" if not set
	State State

	// Why what is now at Path is not in use, "" if it is. Loaded together with
	// an Error means that the file loaded before goes on serving.
	Error string

	// Of the loaded file.
	Type        string      // as it names itself
	Built       time.Time   // zero if it does not say
	Attribution Attribution // zero if its maker is not known
}

// An Attribution is what a maker asks to be shown with their data.
type Attribution struct{ Text, URL string }

// maxAge is after how long makers want their users to have a newer file.
const maxAge = 30 * 24 * time.Hour

// Age is how old the loaded file is, 0 if that is not known.
func (f File) Age(now time.Time) time.Duration {
	if f.Built.IsZero() {
		return 0
	}
	return max(0, now.Sub(f.Built))
}

// Stale is whether the loaded file is older than 30 days; a sample does not age.
func (f File) Stale(now time.Time) bool {
	return f.Age(now) > maxAge && !strings.HasPrefix(strings.ToLower(f.Type), samplePrefix)
}

// Describe says the state in a line of English.
func (f File) Describe(now time.Time) string {
	if f.Path == "" {
		return f.Error
	}
	if f.State != Loaded {
		return f.Path + ": " + f.Error
	}
	s := f.Type
	if !f.Built.IsZero() {
		s += fmt.Sprintf(" of %s, %d days old", f.Built.Format("2 January 2006"), f.Age(now)/(24*time.Hour))
	}
	if f.Error != "" {
		s += fmt.Sprintf("; what is now at %s is not in use: %s", f.Path, f.Error)
	}
	return s
}

// firstBuild is before the format existed.
var firstBuild = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)

func newFile(kind, path string, m maxminddb.Metadata) File {
	f := File{Kind: kind, Path: path, State: Loaded, Type: clean(m.DatabaseType)}
	if built := m.BuildTime().UTC(); built.After(firstBuild) && built.Year() < 10000 {
		f.Built = built
	}
	f.Attribution = attribution(f.Type)
	return f
}

const samplePrefix = "lastseen-sample-"

// attributions go by how a type begins. DB-IP names one "DBIP-ASN-Lite
// (compat=GeoLite2-ASN)".
var attributions = []struct {
	prefix string
	Attribution
}{
	{"geolite", Attribution{"This product includes GeoLite Data created by MaxMind", "https://www.maxmind.com"}},
	{"geoip2-", Attribution{"This product includes GeoIP2 Data created by MaxMind", "https://www.maxmind.com"}},
	{"dbip", Attribution{"IP Geolocation by DB-IP", "https://db-ip.com"}},
	{"ipinfo", Attribution{"IP address data powered by IPinfo", "https://ipinfo.io"}},
	{"ip2l", Attribution{"This site or product includes IP2Location LITE data", "https://lite.ip2location.com"}},
	// ip-location-db's types are "city ipv4" and the like; whose data it carries
	// on, they do not tell.
	{"city ipv", ipLocationDB},
	{"country ipv", ipLocationDB},
	{"asn ipv", ipLocationDB},
	{samplePrefix, Attribution{Text: "Places and networks are sample data, not for real use"}},
}

var ipLocationDB = Attribution{"IP location data by ip-location-db", "https://github.com/sapics/ip-location-db"}

func attribution(databaseType string) Attribution {
	for _, a := range attributions {
		if strings.HasPrefix(strings.ToLower(databaseType), a.prefix) {
			return a.Attribution
		}
	}
	return Attribution{}
}
