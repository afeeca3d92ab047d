package web

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
	"lastseen/geoip"
	"lastseen/web/view"

	"github.com/google/uuid"
)

// Where a page names a place, it is in words, in the reader's language.
func TestPlacesInWords(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	sess, _ := ts.session("bob", "81.2.69.142", iphone)
	ts.session("ada", "89.160.20.112", firefox)
	id := sess.UUID.String()
	for lang, want := range map[string]string{"en": "London, United Kingdom", "de": "London, Vereinigtes Königreich", "nl": "London, United Kingdom"} {
		for _, path := range []string{"/sessions?view=everybody", "/sessions/" + id, "/sessions/" + id + "/revoke", "/events"} {
			_, body := ts.get(ada, path, "Accept-Language", lang)
			if !strings.Contains(body, want) || strings.Contains(body, "London, GB") {
				t.Errorf("%s in %s: no %q", path, lang, want)
			}
		}
	}
	if _, body := ts.get(ada, "/sessions", "Accept-Language", "de"); strings.Count(body, "Linköping, Schweden") < 2 { // in the list and on the map
		t.Error("my sessions name no place in German")
	}
	_, body := ts.get(ada, "/sessions?view=everybody", "Accept-Language", "de")
	for _, want := range []string{`aria-label="London, Vereinigtes Königreich: 1 Sitzung"`, `<option value="GB">Vereinigtes Königreich</option>`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	ts.post(ada, "/sessions/"+id+"/revoke", nil)
	if _, body := ts.get(ada, "/sessions", "Accept-Language", "en"); !strings.Contains(body, "(London, United Kingdom)") {
		t.Error("what was signed out is not named with its place")
	}
	// Programs get codes.
	for _, path := range []string{"/sessions/export.csv?view=everybody", "/sessions/export.json?view=everybody"} {
		if _, body := ts.get(ada, path); !strings.Contains(body, `"SE"`) || strings.Contains(body, "Sweden") {
			t.Errorf("%s: got %s", path, body)
		}
	}
}

func TestPlaceName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		city, country, want string
	}{
		{"London", "GB", "London, Vereinigtes Königreich"},
		{"", "SE", "Schweden"},
		{"Atlantis", "", "Atlantis"},
		{"Atlantis", "QX", "Atlantis, QX"}, // made-up
		{"", "A1", "A1"},
		{"Singapore", "SG", "Singapore, Singapur"},
		{"Luxemburg", "LU", "Luxemburg"},
		{"", "", ""},
	} {
		if got := placeName("de", &geoip.Place{City: tt.city, Country: tt.country}); got != tt.want {
			t.Errorf("%s in %s: got %q, want %q", tt.city, tt.country, got, tt.want)
		}
	}
	if got := placeName("de", nil); got != "" {
		t.Errorf("nowhere: got %q", got)
	}
}

// A session from a country that its person was not in before says so, on every page.
func TestFirstFrom(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	const mark = "first sign-in from"
	ada := ts.signIn("ada")
	ts.session("bob", "81.2.69.142", firefox)
	ts.advance(time.Hour)
	ts.session("bob", "81.2.69.7", iphone)
	bob := ts.signIn("bob")
	for _, path := range []string{"/sessions", "/sessions?view=everybody"} {
		if _, body := ts.get(ada, path); strings.Contains(body, mark) {
			t.Errorf("%s: a session from where bob always is counts as a first", path)
		}
	}
	ts.advance(time.Hour)
	sess, _ := ts.session("bob", "89.160.20.112", firefox)
	ts.advance(time.Hour)
	again, _ := ts.session("bob", "89.160.20.113", firefox)
	ts.session("ada", "89.160.20.112", firefox) // whose own place is not known

	check := func() {
		t.Helper()
		page := "/sessions/" + sess.UUID.String()
		for _, path := range []string{"/sessions?view=everybody&state=all", page} {
			if _, body := ts.get(ada, path); strings.Count(body, mark+" Sweden") != 1 {
				t.Errorf("%s: %d marks, want one", path, strings.Count(body, mark))
			}
		}
		if _, body := ts.get(bob, "/sessions"); strings.Count(body, mark+" Sweden") != 1 {
			t.Errorf("my sessions: %d marks, want one", strings.Count(body, mark))
		}
		if _, body := ts.get(bob, page, "Accept-Language", "de"); !strings.Contains(body, "neues Land: Schweden") {
			t.Error("no mark in German")
		}
		if _, body := ts.get(bob, "/sessions/"+again.UUID.String()); strings.Contains(body, mark) {
			t.Error("the second session from there is marked")
		}
	}
	check()
	ts.post(bob, "/sessions/"+sess.UUID.String()+"/revoke", nil)
	ts.get(bob, "/sessions") // which says what was signed out, and so names the place once more
	check()                  // when it has ended, it was still the first
	if all, err := ts.app.Countries(t.Context(), mustUser(ts, "bob").ID); err != nil || len(all) != 1 || len(all[mustUser(ts, "bob").ID]) != 2 {
		t.Errorf("bob's countries: got %v, %v", all, err)
	}
}

func noEvent(db.User) db.Event {
	return db.Event{UUID: uuid.New(), Created: now, Context: map[string]any{}}
}

// choicesIn are the values and texts of a select.
func choicesIn(body, name string) (options []string) {
	_, body, _ = strings.Cut(body, `name="`+name+`"`)
	body, _, _ = strings.Cut(body, "</select>")
	for _, m := range regexp.MustCompile(`<option value="([^"]*)"( selected)?>([^<]*)<`).FindAllStringSubmatch(body, -1) {
		if m[1] != "" {
			options = append(options, strings.TrimSpace(m[1]+"="+m[3]+m[2]))
		}
	}
	return options
}

// Filters list names, each once, in their order in the reader's language.
func TestFiltersListNames(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	for _, ip := range []string{"81.2.69.142", "86.128.0.1", "89.160.20.112", "84.112.0.1", "129.132.0.1", "216.160.83.56", "73.1.1.1", "24.0.0.1"} {
		ts.session("bob", ip, firefox)
	}
	for _, tt := range []struct {
		query, lang, name string
		want              []string
	}{
		{"", "en", "country", []string{"AT=Austria", "SE=Sweden", "CH=Switzerland", "GB=United Kingdom", "US=United States"}},
		{"", "de", "country", []string{"AT=Österreich", "SE=Schweden", "CH=Schweiz", "US=Vereinigte Staaten", "GB=Vereinigtes Königreich"}},
		{"country=GB", "de", "country", []string{"GB=Vereinigtes Königreich selected"}},
		{"country=QX", "en", "country", []string{"QX=QX selected"}},
		{"country=US", "en", "network", []string{"CenturyLink=CenturyLink", "Comcast Cable Communications LLC=Comcast Cable Communications LLC"}},
		{"network=SWITCH", "en", "network", []string{"SWITCH=SWITCH selected"}},
		{"network=559", "en", "network", []string{"SWITCH=SWITCH", "AS559=SWITCH (AS559) selected"}}, // as links were
		{"network=nobody", "en", "network", []string{"nobody=nobody selected"}},
	} {
		_, body := ts.get(ada, "/sessions?view=everybody&"+tt.query, "Accept-Language", tt.lang)
		if got := choicesIn(body, tt.name); !slices.Equal(got, tt.want) {
			t.Errorf("%s %s in %s: got %q, want %q", tt.name, tt.query, tt.lang, got, tt.want)
		}
		if nothing := strings.Contains(body, "No session matches."); nothing != (tt.query == "country=QX" || tt.query == "network=nobody") {
			t.Errorf("%s: nothing matches: %t", tt.query, nothing)
		}
	}
	if _, body := ts.get(ada, "/sessions?view=everybody"); !strings.Contains(body, `<option value="bob">`) {
		t.Error("no user name is offered")
	}
	for i := range maxUsernames {
		name := fmt.Sprint("guest", i)
		if _, err := ts.store.CreateUser(t.Context(), db.User{UUID: uuid.New(), Username: name, Created: now}, false, noEvent); err != nil {
			t.Fatal(err)
		}
	}
	if _, body := ts.get(ada, "/sessions?view=everybody"); strings.Contains(body, "<datalist") {
		t.Error("very many user names are offered")
	}
}

// Several AS numbers of one name are one network.
func TestNetworksAreNamedOnce(t *testing.T) {
	t.Parallel()
	record := func(asn uint32, org string) app.Record {
		return app.Record{Session: app.Session{Location: geoip.Location{Network: &geoip.Network{ASN: asn, Org: org}}}}
	}
	found := []app.Record{record(1, "Éire Net"), record(2, "Zulu"), record(3, "Éire Net"), record(4, ""), record(0, ""), {}}
	_, got := choices("en", found, view.SessionFilter{})
	if want := []view.Choice{{Value: "AS4", Text: "AS4"}, {Value: "Éire Net", Text: "Éire Net"}, {Value: "Zulu", Text: "Zulu"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, tt := range []struct {
		value string
		want  int
	}{{"Éire Net", 2}, {"1", 1}, {"AS1", 1}, {"4", 1}, {"AS4", 1}, {"5", 0}, {"Eire", 0}} {
		n := 0
		for _, r := range found {
			if l := r.Location.Network; l != nil && filterArea(view.SessionFilter{Network: networkFilter(tt.value)})(app.Area{ASN: l.ASN, Org: l.Org}) {
				n++
			}
		}
		if n != tt.want {
			t.Errorf("%s: got %d, want %d", tt.value, n, tt.want)
		}
	}
}

// A search finds what the page shows, and the list, its count and the export agree.
func TestSearchFindsWhatIsShown(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	bob := mustUser(ts, "bob")
	if err := ts.app.UpdateProfile(t.Context(), app.Caller{User: &bob}, "Ömer Şahin", ""); err != nil {
		t.Fatal(err)
	}
	client := ts.signIn("ada")      // from this computer
	sessions := map[string]string{} // what each is called here, by its address
	for _, sess := range []struct{ name, user, ip, agent string }{
		{"london", "bob", "81.2.69.142", iphone},
		{"linköping", "bob", "89.160.20.112", firefox},
		{"vienna", "ada", "84.112.0.1", firefox},
		{"zurich", "ada", "129.132.1.1", "curl/8.14.1"},
		{"denver", "ada", "2601::1", "Mozilla/5.0 (Macintosh; Intel Mac OS X; rv:140.0) Gecko/20100101 Firefox/140.0"},
		{"são paulo", "bob", "186.204.0.1", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"},
		{"home", "bob", "10.1.2.3", firefox},
		{"carrier", "bob", "100.64.1.1", firefox},
	} {
		ts.session(sess.user, sess.ip, sess.agent)
		sessions[sess.ip] = sess.name
	}
	sessions["127.0.0.1"] = "here"
	gone, _ := ts.session("bob", "60.32.0.1", firefox)
	ts.post(client, "/sessions/"+gone.UUID.String()+"/revoke", nil)
	ts.get(client, "/sessions")
	sessions["60.32.0.1"] = "osaka"

	for _, tt := range []struct{ search, lang, want string }{
		{"london", "en", "london"},
		{"LONDON kingdom", "en", "london"},
		{"London United Kingdom", "de", "london"}, // in English, whatever one reads
		{"königreich", "de", "london"},
		{"KO\u0308NIGREICH", "de", "london"}, // as another keyboard writes it
		{"königreich", "en", ""},
		{"österreich", "de", "vienna"},
		{"osterreich", "de", "vienna"}, // whoever has no such key
		{"linkoping", "en", "linköping"},
		{"Linköping", "en", "linköping"},
		{"sao paulo brazil", "en", "são paulo"},
		{"states", "en", "denver"},
		{"vereinigte", "de", "denver,london"},
		{"vereinigte", "en", ""},
		{"united", "de", "denver,london"},
		{"united firefox", "en", "denver"},
		{"united firefox bob", "en", ""},
		{"comcast", "en", "denver"},
		{"andrews & arnold", "en", "london"},
		{"as20712", "en", "london"},
		{"AS20712", "de", "london"},
		{"20712", "en", "london"},
		{"AS2071", "en", ""},
		{"as559 curl", "en", "zurich"},
		{"10.0.0.0/8", "en", "home"},
		{"10.1.2.3", "en", "home"},
		{"10.1", "en", "home"},
		{"129.132.0.0/16 as559", "en", "zurich"},
		{"0.0.0.0/0 ada", "en", "here,vienna,zurich"},
		{"2601::/20", "en", "denver"},
		{"2601:0:0::1", "en", "denver"},
		{"::/0", "en", "denver"},
		{"2601::/200", "en", ""},
		{"ömer", "en", "carrier,home,linköping,london,são paulo"},
		{"ŞAHIN swe", "en", "linköping"},
		{"omer", "en", ""},
		{"iphone", "en", "london"},
		{"bob mobile", "en", "london"},
		{"macOS", "en", "denver"},
		{"chromeos", "en", "são paulo"},
		{"local network", "en", "here,home"},
		{"lokales netz", "de", "here,home"},
		{"carrier network", "en", "carrier"},
		{"nothing like it", "en", ""},
		{"%", "en", ""},
		{"nn", "en", ""},          // two letters are a word,
		{"ab", "en", "linköping"}, // as in Bredband2 AB
	} {
		query := "?view=everybody&search=" + url.QueryEscape(tt.search)
		for _, state := range []string{"", "&state=all"} {
			_, page := ts.get(client, "/sessions"+query+state, "Accept-Language", tt.lang)
			var got []string
			for _, m := range regexp.MustCompile(`<span class="ip">([^<]*)</span>`).FindAllStringSubmatch(page, -1) {
				if sessions[m[1]] != "osaka" {
					got = append(got, sessions[m[1]])
				}
			}
			slices.Sort(got)
			if strings.Join(got, ",") != tt.want {
				t.Errorf("%q%s in %s: got %s, want %s", tt.search, state, tt.lang, got, tt.want)
			}
			_, export := ts.get(client, "/sessions/export.json"+query+state, "Accept-Language", tt.lang)
			var objects []struct{ Last_ip string }
			if err := json.Unmarshal([]byte(export), &objects); err != nil {
				t.Fatal(err)
			}
			if shown := strings.Count(page, `<span class="ip">`); len(objects) != shown {
				t.Errorf("%q%s: the page has %d, the export %d", tt.search, state, shown, len(objects))
			}
		}
	}
	for search, want := range map[string]int{"osaka": 1, "japan": 1, "ömer japan": 1, "60.0.0.0/8": 1, "london": 0} {
		if _, page := ts.get(client, "/sessions?view=everybody&state=ended&search="+url.QueryEscape(search)); strings.Count(page, `<span class="ip">`) != want {
			t.Errorf("%q among the ended: got %d, want %d", search, strings.Count(page, `<span class="ip">`), want)
		}
	}
	// The API's search is authentik's: user name, address, agent.
	key := ts.key("ada")
	for search, want := range map[string]int{"london": 0, "ömer": 0, "10.0.0.0/8": 0, "bob": 5, "iphone": 1} {
		var list struct{ Results []any }
		if ts.api(key, "GET", "/core/authenticated_sessions/?search="+url.QueryEscape(search), &list); len(list.Results) != want {
			t.Errorf("the API's %q: got %d, want %d", search, len(list.Results), want)
		}
	}
}

// What is new since the last search is found, wherever it comes from.
func TestSearchFindsWhatIsNew(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.signIn("ada")
	count := func(query string) int {
		t.Helper()
		_, body := ts.get(ada, "/sessions?view=everybody&"+query)
		return strings.Count(body, `<span class="ip">`)
	}
	if n := count("search=sweden"); n != 0 {
		t.Fatalf("got %d at first", n)
	}
	sess, token := ts.session("bob", "89.160.20.112", firefox)
	if n := count("search=sweden"); n != 1 {
		t.Errorf("signed in: got %d, want 1", n)
	}
	if n := count("country=SE"); n != 1 {
		t.Errorf("signed in, by country: got %d, want 1", n)
	}
	ts.advance(time.Minute)
	if _, err := ts.app.Authenticate(t.Context(), []string{token}, app.Client{IP: netip.MustParseAddr("60.32.0.1"), Agent: firefox}); err != nil {
		t.Fatal(err)
	}
	if sweden, japan := count("search=sweden"), count("search=japan"); sweden != 0 || japan != 1 {
		t.Errorf("moved: got %d and %d, want 0 and 1", sweden, japan)
	}
	many(t, ts, 1, 3, 0) // signed in earlier, by the clock
	if n := count("search=london"); n != 3 {
		t.Errorf("of an earlier clock: got %d, want 3", n)
	}
	count("state=ended&search=japan")
	ts.post(ada, "/sessions/"+sess.UUID.String()+"/revoke", nil)
	ts.get(ada, "/sessions")
	if living, ended := count("search=japan"), count("state=ended&search=japan"); living != 0 || ended != 1 {
		t.Errorf("signed out: got %d and %d, want 0 and 1", living, ended)
	}
	ts.advance(-time.Hour)
	ts.session("bob", "89.160.20.113", firefox)
	if n := count("search=sweden"); n != 1 {
		t.Errorf("with the clock set back: got %d, want 1", n)
	}
}
