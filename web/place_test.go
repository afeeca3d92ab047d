package web

import (
	"encoding/json"
	"strings"
	"testing"
)

// A client that takes lat and long for numbers may: a record without them is at the
// middle of its country, and says on the page that it knows no more; one without a
// country says nothing.
func TestPlaceWithoutCoordinates(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, admin := ts.key("ada"), ts.signIn("ada")
	for _, tt := range []struct{ ip, geo, page string }{
		{"81.2.69.142", `{"continent":"EU","country":"GB","lat":51.5142,"long":-0.0931,"city":"London"}`, "approximate"},
		{"95.108.129.1", `{"continent":"EU","country":"RU","lat":59.49,"long":97.76,"city":""}`, "country only"},
		{"2.20.16.1", `null`, "Place unknown"}, // a continent alone
		{"192.168.1.20", `null`, "Local network"},
	} {
		sess, _ := ts.session("bob", tt.ip, firefox)
		var got struct {
			GeoIP json.RawMessage `json:"geo_ip"`
		}
		if ts.api(ada, "GET", "/core/authenticated_sessions/"+sess.UUID.String()+"/", &got); string(got.GeoIP) != tt.geo {
			t.Errorf("%s: got %s, want %s", tt.ip, got.GeoIP, tt.geo)
		}
		_, page := ts.get(admin, "/sessions/"+sess.UUID.String())
		if !strings.Contains(page, tt.page) || strings.Contains(page, "country only") != (tt.page == "country only") || strings.Contains(page, "0001") {
			t.Errorf("%s: the page does not say %q: %s", tt.ip, tt.page, page)
		}
	}
}
