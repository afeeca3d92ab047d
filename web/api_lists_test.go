package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lastseen/app"
	"lastseen/db"
)

// names asks for a list and returns one field of its results.
func (ts *testServer) names(key, path, field string) []string {
	ts.t.Helper()
	var page struct {
		Pagination pagination
		Results    []map[string]any
	}
	if status, body := ts.api(key, "GET", path, &page); status != http.StatusOK {
		ts.t.Fatalf("%s: got %d %s", path, status, body)
	}
	names := []string{}
	for _, r := range page.Results {
		names = append(names, fmt.Sprint(r[field]))
	}
	if page.Pagination.Count < len(names) {
		ts.t.Errorf("%s: counts %d, shows %d", path, page.Pagination.Count, len(names))
	}
	return names
}

// refused checks that filters which are empty, malformed or not ours are 400 each,
// and name the field: none may come to mean everybody.
func (ts *testServer) refused(key, path string, queries ...string) {
	ts.t.Helper()
	for _, query := range queries {
		status, body := ts.api(key, "GET", path+"?"+query, nil)
		field, _, _ := strings.Cut(query, "=")
		if status != http.StatusBadRequest || !strings.HasPrefix(body, `{"`+field+`":["`) {
			ts.t.Errorf("%s?%s: got %d %s, want 400 about %s", path, query, status, body, field)
		}
	}
}

func TestBulkDelete(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.key("ada"), ts.key("bob")
	for range 3 {
		ts.session("bob", "81.2.69.142", firefox)
	}
	ts.session("ada", "81.2.69.142", firefox)
	ts.createUser("eve", false)
	ts.session("eve", "81.2.69.142", firefox)
	const path = "/core/authenticated_sessions/bulk_delete/"
	for _, tt := range []struct {
		name, key, query string
		status           int
		body             string
	}{
		{"not a superuser", bob, "?user_pks=2", 403, `{"detail":"You do not have permission to perform this action."}`},
		{"nothing given", ada, "", 400, `{"user_pks":["This field is required."]}`},
		{"empty", ada, "?user_pks=", 400, `{"user_pks":["A valid integer is required."]}`},
		{"one is wrong", ada, "?user_pks=2&user_pks=x", 400, `{"user_pks":["A valid integer is required."]}`},
		{"a list in one", ada, "?user_pks=2,3", 400, `{"user_pks":["A valid integer is required."]}`},
		{"nobody's", ada, "?user_pks=99", 200, `{"deleted":0}`},
		{"two people's", ada, "?user_pks=2&user_pks=3&user_pks=2", 200, `{"deleted":4}`},
		{"again", ada, "?user_pks=2", 200, `{"deleted":0}`},
	} {
		if status, body := ts.api(tt.key, "DELETE", path+tt.query, nil); status != tt.status || body != tt.body {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, status, body, tt.status, tt.body)
		}
	}
	if got := ts.names(ada, "/core/authenticated_sessions/", "user"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("left: sessions of %v, want ada's", got)
	}
	if got := ts.names(ada, "/events/events/?action=model_deleted&context_model_name=authenticatedsession", "action"); len(got) != 4 {
		t.Errorf("got %d events of what was ended, want 4", len(got))
	}
	if status, _ := ts.api(ada, "GET", path, nil); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d, want 405", status)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.key("ada"), ts.key("bob")
	eve := ts.createUser("eve", false, "family", "work")
	if err := ts.app.SetUserActive(t.Context(), operator, eve, false); err != nil {
		t.Fatal(err)
	}
	zoe := ts.createUser("zoe", false, "work")
	zoe.Name, zoe.Email = "Zoë Q", "zoe@home.example"
	if err := ts.app.UpdateUser(t.Context(), operator, zoe); err != nil {
		t.Fatal(err)
	}
	stored, err := ts.app.User(t.Context(), app.Operator, eve.ID)
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                             "ada bob eve zoe",
		"?username=bob":                "bob",
		"?username=BOB":                "",
		"?email=zoe@home.example":      "zoe",
		"?name=Zo%C3%AB+Q":             "zoe",
		"?is_active=false":             "eve",
		"?is_superuser=true":           "ada",
		"?uuid=" + eve.UUID.String():   "eve",
		"?path=users":                  "ada bob eve zoe",
		"?path=elsewhere":              "",
		"?path_startswith=us":          "ada bob eve zoe",
		"?type=internal":               "ada bob eve zoe",
		"?type=external":               "",
		"?type=external&type=internal": "ada bob eve zoe",
		"?groups_by_name=work":         "eve zoe",
		"?groups_by_name=family&groups_by_name=work":      "eve zoe",
		"?groups_by_name=nobody":                          "",
		"?groups_by_pk=" + stored.Groups[0].UUID.String(): "eve",
		"?roles_by_name=admin":                            "",
		"?attributes=%7B%7D":                              "ada bob eve zoe",
		"?attributes=%7B%22a%22:1%7D":                     "",
		"?search=E":                                       "eve zoe",
		"?search=home,zo":                                 "zoe",
		"?search=":                                        "ada bob eve zoe",
		"?ordering=-username":                             "zoe eve bob ada",
		"?ordering=-is_active,-pk":                        "zoe bob ada eve",
		"?ordering=nonsense":                              "ada bob eve zoe",
		"?page_size=2&page=2":                             "eve zoe",
		"?unknown=1":                                      "ada bob eve zoe",
	} {
		if got := strings.Join(ts.names(ada, "/core/users/"+query, "username"), " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	ts.refused(ada, "/core/users/", "username=", "email=", "name=", "is_active=maybe", "is_active=", "is_superuser=2", "uuid=x", "path=",
		"type=robot", "groups_by_name=", "groups_by_pk=work", "attributes=x", "last_login__lt=2026-01-01", "date_joined__gt=")

	// A plain user sees nobody else, whatever they ask for.
	for query, want := range map[string]string{"": "bob", "?username=ada": "", "?search=ada": "", "?is_superuser=true": ""} {
		if got := strings.Join(ts.names(bob, "/core/users/"+query, "username"), " "); got != want {
			t.Errorf("as bob, %s: got %q, want %q", query, got, want)
		}
	}
	for _, tt := range []struct {
		key, id string
		status  int
	}{{ada, "2", 200}, {bob, "2", 200}, {bob, "1", 404}, {ada, "99", 404}, {ada, "x", 404}} {
		var user struct{ Username string }
		status, body := ts.api(tt.key, "GET", "/core/users/"+tt.id+"/", &user)
		if status != tt.status || status == 200 && user.Username != "bob" || status == 404 && body != `{"detail":"Not found."}` {
			t.Errorf("user %s: got %d %s, want %d", tt.id, status, body, tt.status)
		}
	}
}

// However a name is spelled in Unicode, when it is stored and when it is looked for,
// in a filter, a search, a page or a path, it is the same name.
func TestSpellings(t *testing.T) {
	t.Parallel()
	const one, two = "Zo\u00eb", "Zoe\u0308" // ë as one character and as two
	for i, stored := range []string{one, two} {
		gate := guarded(t)
		gate.createUser("eve", false, stored)
		gate.allow(app1, []string{two, one}[i])
		_, token := gate.session("eve", "81.2.69.142", firefox)
		if res := gate.asks(gates[0], app1, "/", "Cookie", cookie(token)); res.StatusCode != 200 {
			t.Errorf("where only the group %q may go: got %d", stored, res.StatusCode)
		}
		for _, asked := range []string{one, two, "ZO\u00cb", "ZOE\u0308"} {
			t.Run(fmt.Sprintf("%q as %q", stored, asked), func(t *testing.T) {
				ts := newServer(t)
				ada, admin := ts.key("ada"), ts.signIn("ada")
				ctx, ask := t.Context(), url.QueryEscape(asked)
				user, err := ts.app.CreateUser(ctx, operator, app.NewUser{Username: stored, Password: password, Name: "Frau " + stored, Email: stored + "@home.example", Groups: []string{stored}})
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := ts.app.CreateToken(ctx, operator, app.NewToken{User: user, Identifier: stored, Description: "of " + stored}); err != nil {
					t.Fatal(err)
				}
				ts.session(one, "81.2.69.142", firefox+" "+stored)
				exact := 0 // filters look at the case
				if asked == one || asked == two {
					exact = 1
				}
				for path, want := range map[string]int{
					"/core/users/?search=" + ask:                                                           1,
					"/core/users/?search=frau," + ask:                                                      1,
					"/core/users/?search=" + ask + "@home":                                                 1,
					"/core/users/?username=" + ask:                                                         exact,
					"/core/users/?name=Frau+" + ask:                                                        exact,
					"/core/users/?email=" + ask + "@home.example":                                          exact,
					"/core/users/?groups_by_name=" + ask:                                                   exact,
					"/core/tokens/?search=" + ask:                                                          1,
					"/core/tokens/?search=of," + ask:                                                       1,
					"/core/tokens/?user__username=" + ask:                                                  exact,
					"/core/tokens/?identifier=" + ask:                                                      exact,
					"/core/tokens/?description=of+" + ask:                                                  exact,
					"/core/authenticated_sessions/?search=" + ask:                                          1,
					"/core/authenticated_sessions/?user__username=" + ask:                                  exact,
					"/core/authenticated_sessions/?session__user__username=" + ask:                         exact,
					"/core/authenticated_sessions/?last_user_agent=" + url.QueryEscape(firefox+" "+stored): 1, // as it was sent
				} {
					var page struct{ Results []any }
					if status, body := ts.api(ada, "GET", path, &page); status != 200 || len(page.Results) != want {
						t.Errorf("%s: got %d %s, want %d", path, status, body, want)
					}
				}
				for path, want := range map[string]int{
					"/users?search=" + ask: 1, "/sessions?view=everybody&search=" + ask: 1, "/sessions?view=everybody&user=" + ask: exact,
				} {
					if _, body := ts.get(admin, path); min(1, strings.Count(body, "81.2.69.142")+strings.Count(body, "Frau")) != want {
						t.Errorf("%s: got %s, want %d", path, body, want)
					}
				}
				if exact == 1 {
					if status, body := ts.api(ada, "GET", "/core/tokens/"+url.PathEscape(asked)+"/", nil); status != 200 {
						t.Errorf("the token: got %d %s", status, body)
					}
					if err := ts.app.RemoveFromGroup(ctx, operator, user, asked); err != nil {
						t.Errorf("out of the group: %v", err)
					}
				}
			})
		}
	}
}

// groups_obj is null where the caller does without it, and only there.
func TestIncludeGroups(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada := ts.key("ada")
	eve := ts.createUser("eve", false, "family")
	for query, want := range map[string]int{
		"": 1, "include_groups=true": 1, "include_groups=1": 1, "include_groups=": 1, "include_groups=perhaps": 1,
		"include_groups=false": -1, "include_groups=False": -1, "include_groups=0": -1,
	} {
		var list struct {
			Results []struct {
				Groups    []string          `json:"groups"`
				GroupsObj *[]map[string]any `json:"groups_obj"`
			}
		}
		ts.api(ada, "GET", "/core/users/?username=eve&"+query, &list)
		one := list.Results[0]
		ts.api(ada, "GET", fmt.Sprintf("/core/users/%d/?%s", eve.ID, query), &one)
		for _, user := range append(list.Results, one) {
			got := -1
			if user.GroupsObj != nil {
				got = len(*user.GroupsObj)
			}
			if got != want || len(user.Groups) != 1 {
				t.Errorf("?%s: got %d groups_obj (-1: null) and %d groups, want %d and 1", query, got, len(user.Groups), want)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.key("ada"), ts.key("bob")
	for _, n := range []struct {
		user, identifier, description string
		lifetime                      time.Duration
	}{{"bob", "backup", "nightly", time.Hour}, {"ada", "widget", "", 0}} {
		user := mustUser(ts, n.user)
		key, _, err := ts.app.CreateToken(t.Context(), operator, app.NewToken{User: user, Identifier: n.identifier, Description: n.description, Lifetime: n.lifetime})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if _, body := ts.api(ada, "GET", "/core/tokens/", nil); strings.Contains(body, key) || strings.Contains(body, "key") {
				t.Errorf("the list holds a key: %s", body)
			}
		}()
	}
	made := func(user string) string { // what ts.key made
		for _, id := range ts.names(ada, "/core/tokens/?user__username="+user, "identifier") {
			if strings.HasPrefix(id, user+"-") {
				return id
			}
		}
		return ""
	}
	adas, bobs := made("ada"), made("bob")
	for _, tt := range []struct{ key, query, want string }{
		{ada, "", adas + " backup " + bobs + " widget"},
		{bob, "", "backup " + bobs},
		{ada, "?user__username=bob", "backup " + bobs},
		{bob, "?user__username=ada", ""},
		{ada, "?identifier=backup", "backup"},
		{ada, "?description=nightly", "backup"},
		{ada, "?expiring=true", "backup"},
		{ada, "?intent=api", adas + " backup " + bobs + " widget"},
		{ada, "?intent=recovery", ""},
		{ada, "?managed=x", ""},
		{ada, "?search=NIGHT", "backup"},
		{ada, "?ordering=-identifier", "widget " + bobs + " backup " + adas},
		{ada, "?ordering=user__username,identifier&page_size=1&page=last", bobs},
	} {
		if got := strings.Join(ts.names(tt.key, "/core/tokens/"+tt.query, "identifier"), " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.query, got, tt.want)
		}
	}
	if err := ts.app.AddToGroup(t.Context(), operator, mustUser(ts, "bob"), "family"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/core/tokens/?identifier=backup", "/core/tokens/backup/"} {
		if _, body := ts.api(ada, "GET", path, nil); !strings.Contains(body, `"name":"family"`) {
			t.Errorf("%s: its user has no group: %s", path, body)
		}
	}
	ts.refused(ada, "/core/tokens/", "identifier=", "user__username=", "intent=x", "expiring=x", "expires=2026-01-01")
	for _, tt := range []struct {
		key, identifier string
		status          int
	}{{ada, "backup", 200}, {bob, "backup", 200}, {bob, "widget", 404}, {ada, "nonsense", 404}} {
		if status, body := ts.api(tt.key, "GET", "/core/tokens/"+tt.identifier+"/", nil); status != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.identifier, status, body, tt.status)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.key("ada"), ts.key("bob")
	ts.session("bob", "81.2.69.142", firefox)
	ts.advance(time.Minute)
	ts.post(ts.browser(), "/login", url.Values{"username": {"bob"}, "password": {"wrong"}})
	ts.post(ts.browser(), "/login", url.Values{"username": {"nobody"}, "password": {"wrong"}})
	ts.advance(time.Minute)
	ts.session("ada", "89.160.20.112", firefox)
	for _, tt := range []struct{ key, query, want string }{
		{ada, "?action=login", "login login"},
		{ada, "?action=login&ordering=created&client_ip=81.2.69.142", "login"},
		{ada, "?action=login&client_ip=::ffff:81.2.69.142", "login"},
		{ada, "?actions=login&actions=login_failed&ordering=action", "login login login_failed login_failed"},
		{ada, "?actions=login&action=logout", ""},
		{ada, "?action=login_failed&username=bob", "login_failed"},
		{ada, "?action=login_failed&username=nobody", "login_failed"},
		{ada, "?action=login_failed&search=NOBODY", "login_failed"},
		{ada, "?action=nonsense", ""},
		{ada, "?context_model_name=token&context_model_app=authentik_core&page_size=1", "model_created"},
		{ada, "?context_model_name=user&context_model_pk=nonsense", ""},
		{ada, "?brand_name=x", ""},
		{ada, "?page_size=1", "login"},
		{bob, "?actions=login&actions=login_failed", "login_failed login"},
		{bob, "?username=nobody", ""},
	} {
		if got := strings.Join(ts.names(tt.key, "/events/events/"+tt.query, "action"), " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.query, got, tt.want)
		}
	}
	ts.refused(ada, "/events/events/", "action=", "actions=", "username=", "client_ip=home", "client_ip=")

	var page struct{ Results []eventJSON }
	ts.api(ada, "GET", "/events/events/?action=login_failed&username=bob", &page)
	failed := page.Results[0]
	if failed.User != (eventUserJSON{PK: 2, Username: "bob"}) || failed.Context["username"] != "bob" || failed.ClientIP == nil || *failed.ClientIP != "127.0.0.1" {
		t.Errorf("a failed sign-in: got %+v", failed)
	}
	path := "/events/events/" + failed.PK.String() + "/"
	ts.createUser("eve", false)
	for key, want := range map[string]int{ada: 200, bob: 200, ts.key("eve"): 404} {
		if status, body := ts.api(key, "GET", path, nil); status != want {
			t.Errorf("one event: got %d %s, want %d", status, body, want)
		}
	}
}

// The requests that gethomepage's authentik widget sends, and how it reads the
// answers: https://github.com/gethomepage/homepage/tree/main/src/widgets/authentik.
func TestHomepageWidget(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	ada, bob := ts.key("ada"), ts.key("bob")
	fail := func(name string) {
		ts.post(ts.browser(), "/login", url.Values{"username": {name}, "password": {"wrong"}})
	}
	ts.session("bob", "81.2.69.142", firefox) // long ago
	fail("ada")
	ts.advance(23*time.Hour + 58*time.Minute) // it is 09:28 the next day: both are still of the last 24 hours
	ts.session("ada", "81.2.69.142", firefox)
	check := func(name, key string, logins, failures int) {
		t.Helper()
		var users struct{ Pagination struct{ Count int } }
		ts.api(key, "GET", "/core/users/?page_size=1", &users)
		if want := map[string]int{ada: 2, bob: 1}[key]; users.Pagination.Count != want {
			t.Errorf("%s: got %d users, want %d", name, users.Pagination.Count, want)
		}
		now := ts.app.Now()
		for action, want := range map[db.Action]int{db.Login: logins, db.LoginFailed: failures} {
			// Up to 2025.6, with the browser's clock a little off.
			for _, skew := range []time.Duration{-time.Minute, 0, time.Minute} {
				var points []struct {
					X int64 `json:"x_cord"`
					Y int   `json:"y_cord"`
				}
				ts.api(key, "GET", "/events/events/per_month/?action="+string(action), &points)
				sum := 0
				for _, p := range points {
					if p.X >= now.Add(skew-24*time.Hour).UnixMilli() {
						sum += p.Y
					}
				}
				if sum != want || len(points) != 30 {
					t.Errorf("%s, old widget: got %d %s in %d points, want %d in 30", name, sum, action, len(points), want)
				}
			}
			// Since 2025.8; one release sent two ampersands.
			for _, and := range []string{"&", "&&"} {
				var points []struct {
					Action db.Action
					Time   time.Time
					Count  int
				}
				ts.api(key, "GET", "/events/events/volume/?action="+string(action)+and+"history_days=1", &points)
				sum := 0
				for _, p := range points {
					if p.Action != action || p.Time.After(now) {
						t.Errorf("%s: an odd point %+v", name, p)
					}
					sum += p.Count
				}
				if sum != want {
					t.Errorf("%s, new widget: got %d %s, want %d", name, sum, action, want)
				}
			}
		}
	}
	check("within a day", ada, 2, 1)
	check("bob within a day", bob, 1, 0)
	ts.advance(3 * time.Minute)
	check("a day later", ada, 1, 0)
	check("bob a day later", bob, 0, 0)

	var all []eventCountJSON
	_, body := ts.api(ada, "GET", "/events/events/per_month/?action=login", &all)
	sum := 0
	for _, p := range all {
		if sum += p.Count; p.Count != p.YCord || time.Time(p.Time).UnixMilli() != p.XCord || p.Action != db.Login {
			t.Errorf("a point that says two things: %+v", p)
		}
	}
	if sum != 2 {
		t.Errorf("in a month: got %d sign-ins of %s, want 2", sum, body)
	}
	ts.refused(ada, "/events/events/per_month/", "action=")
	ts.refused(ada, "/events/events/volume/", "action=", "history_days=", "history_days=0", "history_days=x", "history_days=99999999999")
}

// UnmarshalJSON lets tests read what we write.
func (t *apiTime) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, (*time.Time)(t)) }

func TestConfig(t *testing.T) {
	t.Parallel()
	ts := newServer(t)
	res, body := ts.get(nil, "/api/v3/root/config/")
	if res.StatusCode != 200 || !strings.Contains(body, `"capabilities":["can_geo_ip","can_asn"]`) {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	ts = newServer(t, "geoip-city=/nowhere/city.mmdb", "geoip-asn=/nowhere/asn.mmdb")
	if _, body := ts.get(nil, "/api/v3/root/config/"); !strings.Contains(body, `"capabilities":[]`) {
		t.Errorf("with no databases: got %s", body)
	}
}
