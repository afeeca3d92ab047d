package web

import (
	"encoding/json"
	"math"
	"net/netip"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/geoip"

	"github.com/google/uuid"
)

// What is written by hand must be what a JSON library reads back, whatever
// strangers put into it.
func FuzzAppendSession(f *testing.F) {
	f.Add(firefox, "London", 51.5, int64(1), true)
	f.Add(hostile, "São Paulo\u2028", math.SmallestNonzeroFloat64, int64(math.MaxInt64), false)
	f.Add(firefox, "Bern", 46.9, int64(1794223804000001), true)
	f.Add("\xff\x00\"\\</script>", "", -1e21, int64(0), true)
	f.Fuzz(func(t *testing.T, agent, city string, lat float64, user int64, located bool) {
		if math.IsNaN(lat) || math.IsInf(lat, 0) {
			lat = 0
		}
		s := app.Session{Session: db.Session{
			UUID: uuid.New(), UserID: user, IP: netip.MustParseAddr("2001:db8::1"), LastUsed: time.UnixMicro(user), Expires: now,
			Agent: &db.Agent{String: agent, AgentParts: db.AgentParts{Browser: agent, OSMajor: city, DeviceModel: agent}},
		}, Current: located}
		s.Location.Place = &geoip.Place{City: city, Located: located, Lat: lat}
		s.Location.Network = &geoip.Network{ASN: 7, Org: city, Prefix: netip.MustParsePrefix("2001:db8::/32")}
		var got struct {
			UUID       uuid.UUID
			Current    bool
			User_agent struct {
				String     string
				User_agent struct{ Family string }
			}
			Geo_ip *struct {
				City string
				Lat  *float64
			}
			ASN struct {
				As_org  *string
				Network string
			}
			User            int64
			Last_user_agent string
			Last_used       string
		}
		body := appendSession(nil, &s)
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		valid := func(s string) string { // as a JSON library writes it
			b, _ := json.Marshal(s)
			var v string
			_ = json.Unmarshal(b, &v)
			return v
		}
		if got.UUID != s.UUID || got.Current != located || got.User != user || got.User_agent.String != valid(agent) ||
			got.User_agent.User_agent.Family != valid(agent) || got.Last_user_agent != valid(agent) || (got.Geo_ip != nil) != located ||
			(got.ASN.As_org == nil) != (city == "") || got.ASN.Network != "2001:db8::/32" {
			t.Fatalf("%s does not say %+v", body, s)
		}
		if want := s.LastUsed.UTC().Format("2006-01-02T15:04:05.000000Z"); got.Last_used != want {
			t.Fatalf("last used %s, want %s", got.Last_used, want)
		}
		if located && (*got.Geo_ip.Lat != lat || got.Geo_ip.City != valid(city)) {
			t.Fatalf("%s does not say %v", body, lat)
		}
	})
}
