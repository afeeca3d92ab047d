package view

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"lastseen/web/browsertest"
)

// sample is a page with the data of a made-up household, to render and to look at.
type sample struct {
	name, page string
	data       any
}

var sampleNow = time.Date(2026, 11, 9, 14, 3, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return sampleNow.Add(-d) }

const sampleDay = 24 * time.Hour

func sampleLayout(nav string) Layout {
	return Layout{
		Now: sampleNow, Nav: nav, Viewer: "ada", Admin: true, Path: "/" + nav,
		Languages: []languageChoice{{"en", "English", true}, {"de", "Deutsch", false}, {"es", "Español", false}, {"fr", "Français", false}},
		Attributions: []Attribution{
			{"This product includes GeoLite2 data created by MaxMind, available from maxmind.com.", "https://www.maxmind.com"},
		},
		Version: "0.1.0",
	}
}

const hostile = browsertest.Hostile

func sampleRows() (current SessionRow, others []SessionRow) {
	row := func(i int, kind, client, system, place, network, ip string, used time.Duration) SessionRow {
		return SessionRow{
			UUID: fmt.Sprintf("018f3a1c-7e20-7c3d-9b1e-%012d", i), Kind: kind, Client: client, System: system, User: "ada",
			Place: place, Network: network, IP: ip,
			Created: ago(used + 6*sampleDay), LastUsed: ago(used), Expires: ago(used - 8*sampleDay),
		}
	}
	current = row(1, "desktop", "Firefox 140", "Linux", "", "", "192.168.1.20", 0)
	current.Local, current.Current = true, true
	others = []SessionRow{
		row(2, "phone", "Mobile Safari 18.5", "iPhone", "London, United Kingdom", "Andrews & Arnold Ltd", "81.2.69.142", 12*time.Minute),
		row(3, "desktop", "Chrome 138", "Windows 10", "Linköping, Sweden", "Bredband2 AB", "89.160.20.112", 16*time.Hour),
		row(4, "script", "curl 8.14", "", "Milton, United States", "ViaSat, Inc.", "216.160.83.56", 3*sampleDay),
	}
	others[1].FirstFrom = "Sweden"
	return current, others
}

func sampleSessions() *SessionsPage {
	current, others := sampleRows()
	ended := append([]SessionRow(nil), others...)
	for i := range ended {
		ended[i].Ended, ended[i].EndedBy = ago(time.Duration(i+9)*sampleDay), EndedRevoked
		ended[i].FirstFrom = ""
	}
	kitchen := others[1]
	kitchen.Name, kitchen.DeviceID = "Kitchen tablet", current.UUID
	again := kitchen
	again.FirstFrom, again.Created = "", ago(12*sampleDay)
	again.UUID = others[0].UUID
	return &SessionsPage{
		Layout: sampleLayout("sessions"), Current: &DeviceRow{current, []SessionRow{current}},
		Others: []*DeviceRow{{others[0], others[:1]}, {again, []SessionRow{kitchen, again}}, {others[2], others[2:]}},
		Away:   []*DeviceRow{{kitchen, nil}}, Ended: ended, History: 90, Revision: "41",
		Map: NewWorldMap([]Dot{
			{51.5, -0.1, 1, "London, United Kingdom", "/sessions?country=GB"},
			{58.4, 15.6, 1, "Linköping, Sweden", "/sessions?country=SE"},
			{47.25, -122.3, 1, "Milton, United States", "/sessions?country=US"},
		}, 1),
		Chart: sampleChart(2),
	}
}

func sampleChart(scale int) *Chart {
	var days []ChartDay
	for i := range 30 {
		d := ChartDay{Day: ago(time.Duration(29-i) * sampleDay), Succeeded: (i*7 + i*i) % 5 * scale / 2}
		if i%9 == 4 {
			d.Failed = scale/2 + i%2
		}
		days = append(days, d)
	}
	return NewChart(days)
}

func sampleEverybody() *SessionsPage {
	current, others := sampleRows()
	rows := append([]SessionRow{current}, others...)
	more := []struct{ user, kind, client, system, place, network, ip string }{
		{"grace", "tv", "Tizen 7 Browser", "Samsung TV", "Munich, Germany", "Deutsche Telekom AG", "2003:e2:d700:1:9c1e:33ff:fe2a:11"},
		{"grace", "tablet", "Mobile Safari 18.5", "iPad", "Munich, Germany", "Deutsche Telekom AG", "2003:e2:d700:1:5054:ff:fe12:3456"},
		{"alan", "desktop", "Edge 141", "Windows 11", "Tokyo, Japan", "NTT Communications Corporation", "203.0.113.77"},
		{"alan", "console", "PlayStation Browser", "PlayStation 5", "", "", "100.72.3.9"},
		{"mary-katherine.longname", "bot", "Uptime-Kuma 1.23", "", "Sydney, Australia", "Telstra Corporation Ltd", "1.128.0.1"},
		{"edsger", "unknown", "", "", "", "", "198.51.100.4"},
		{"edsger", "phone", "Chrome Mobile 141", "Android 16", "São Paulo, Brazil", "Claro NXT Telecomunicacoes Ltda", "189.40.1.2"},
	}
	for i, m := range more {
		rows = append(rows, SessionRow{
			UUID: fmt.Sprintf("018f3a1c-7e20-7c3d-9b1e-%012d", 50+i), Kind: m.kind, Client: m.client, System: m.system, User: m.user,
			Place: m.place, Network: m.network, IP: m.ip, Carrier: m.ip == "100.72.3.9",
			Created: ago(time.Duration(i) * sampleDay), LastUsed: ago(time.Duration(i*i*5) * time.Hour), Expires: ago(-time.Duration(14-i) * sampleDay),
		})
	}
	rows[7].Ended, rows[7].EndedBy = ago(2*time.Hour), EndedByAdmin
	return &SessionsPage{
		Layout: sampleLayout("sessions"), Everybody: true, Groups: []SessionGroup{{Rows: rows}}, History: 90, People: 37,
		Filter:    SessionFilter{Sort: "-used", State: "all", Page: 2},
		Countries: []Choice{{"DE", "Germany"}, {"GB", "United Kingdom"}, {"JP", "Japan"}},
		Networks:  []Choice{{"Andrews & Arnold Ltd", "Andrews & Arnold Ltd"}, {"Deutsche Telekom AG", "Deutsche Telekom AG"}},
		Pages:     Pager{Page: 2, Pages: 49, First: 26, Last: 50, Total: 1204, Previous: "/sessions?view=everybody", Next: "/sessions?view=everybody&page=3"},
		Map: NewWorldMap([]Dot{
			{51.5, -0.1, 120, "London, United Kingdom", "/sessions?view=everybody&country=GB"},
			{53.5, -2.2, 30, "Manchester, United Kingdom", "/sessions?view=everybody&country=GB"},
			{48.1, 11.6, 310, "Munich, Germany", "/sessions?view=everybody&country=DE"},
			{52.5, 13.4, 210, "Berlin, Germany", "/sessions?view=everybody&country=DE"},
			{58.4, 15.6, 40, "Linköping, Sweden", "/sessions?view=everybody&country=SE"},
			{47.25, -122.3, 90, "Milton, United States", "/sessions?view=everybody&country=US"},
			{40.7, -74, 160, "New York, United States", "/sessions?view=everybody&country=US"},
			{35.7, 139.7, 77, "Tokyo, Japan", "/sessions?view=everybody&country=JP"},
			{-33.9, 151.2, 35, "Sydney, Australia", "/sessions?view=everybody&country=AU"},
			{-23.5, -46.6, 61, "São Paulo, Brazil", "/sessions?view=everybody&country=BR"},
			{-1.3, 36.8, 12, "Nairobi, Kenya", "/sessions?view=everybody&country=KE"},
		}, 59),
		Chart: sampleChart(12),
	}
}

func sampleHostile() *SessionsPage {
	p := sampleEverybody()
	p.Viewer = hostile
	p.Flash = &Flash{"good", hostile}
	for i := range p.Groups[0].Rows {
		r := &p.Groups[0].Rows[i]
		r.Name, r.Client, r.System, r.User, r.Network, r.Place, r.UUID, r.Local = hostile, hostile, hostile, hostile, hostile, hostile, hostile, false
	}
	p.Groups[0].Label, p.Groups[0].Revoke, p.Revoke = hostile, "/sessions/revoke-chosen?heading="+hostile, "/sessions/revoke-chosen?user="+hostile
	p.Networks[0].Text, p.Networks[0].Value = hostile, hostile
	p.Filter = SessionFilter{Search: hostile, User: hostile, Network: hostile, Sort: hostile}
	p.Map = NewWorldMap([]Dot{{0, 0, 1, hostile, "/sessions?user=" + hostile}, {1, 0, 1, hostile, "/sessions?user=" + hostile}}, 1)
	return p
}

// sampleTicks are choices of which all are chosen, or some.
func sampleTicks(all bool) []Tick {
	return []Tick{
		{"sign_in", "Sign-ins from a new device or country", true}, {"factor_added", "A second factor or passkey added", all}, {"password_changed", "A password changed or reset", true},
		{"account_locked", "An account locked after wrong passwords", all}, {"key_created", "An API token made", all},
	}
}

func sampleChosen() *ChosenPage {
	_, others := sampleRows()
	p := &ChosenPage{Layout: sampleLayout("sessions"), Sessions: others, People: []PersonCount{{"ada", 3}}, Spared: true, From: "/sessions?user=ada&view=everybody"}
	return p
}

func sampleDetail() *SessionPage {
	_, others := sampleRows()
	return &SessionPage{
		Layout: sampleLayout("sessions"), SessionRow: others[1], NotMe: true, SignedInBy: SignedInBy["password+totp"], Back: "/sessions?view=everybody",
		Map:      NewWorldMap([]Dot{{58.4, 15.6, 1, "Linköping, Sweden", ""}}, 0),
		Absolute: ago(-8 * sampleDay), ReportedBy: "10.0.0.2", ASN: 29518, CIDR: "89.160.0.0/17",
		PlaceFrom: "GeoLite2-City", PlaceBuilt: ago(7 * sampleDay),
		Device: "Windows computer", SystemFull: "Windows 10", ClientFull: "Chrome 138.0.7204.97",
		UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
		Apps: []AppUse{{"grafana.home.example", ago(9 * sampleDay), ago(16 * time.Hour), time.Time{}}, {"files.home.example", ago(2 * sampleDay), ago(2 * sampleDay), ago(2 * sampleDay)},
			{"wiki.other.example", time.Time{}, time.Time{}, ago(time.Hour)}},
		APIPath: "/api/v3/core/authenticated_sessions/" + others[1].UUID + "/",
	}
}

// sampleAPI is the API browser with a try.
func sampleAPI(l Layout, tried string) *APIPage {
	return &APIPage{Layout: l, Intro: "What it is for.", Groups: []APIGroup{
		{Name: "Sessions", Description: "Who is signed in.", Operations: []APICall{{ID: "one", Method: "DELETE", Path: "/api/v3/core/authenticated_sessions/{uuid}/", Summary: "End a session",
			Parameters: []APIField{{Name: "uuid", Kind: "string", Required: true}}, Answers: []APIAnswer{{"204", "It has ended."}}, Curl: "curl -X DELETE …"}}},
		{Name: "Users", Operations: []APICall{{ID: "list", Method: "GET", Path: "/api/v3/core/users/", Summary: "List users", CanTry: true,
			Parameters: []APIField{{Name: "search", Kind: "string", Value: "ada"}, {Name: "ordering", Kind: "string", Choices: []string{"name", "-name"}}},
			Answers:    []APIAnswer{{"200", "A page of users."}}, Curl: "curl …",
			Tried: &APITried{Request: "GET /api/v3/core/users/?search=ada", Status: 200, Body: tried}}}},
	}}
}

func sampleQR() template.HTML {
	picture, err := QR("otpauth://totp/auth.home.example:ada?issuer=auth.home.example&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	if err != nil {
		panic(err)
	}
	return picture
}

func samples() []sample {
	stranger := sampleLayout("")
	stranger.Viewer, stranger.Admin, stranger.Attributions, stranger.Path = "", false, nil, "/login"
	mending := stranger
	mending.Invalid = "password"
	current, others := sampleRows()

	one := sampleSessions()
	one.Others, one.Groups, one.Ended, one.Away, one.Admin, one.NoPlaces, one.Map, one.Attributions = nil, nil, nil, nil, false, true, nil, nil
	one.Steps = []string{"places", "gate", "user"}
	flashed := sampleSessions()
	flashed.Flash = &Flash{"good", "Signed out Firefox on Windows (London)."}
	grouped := sampleEverybody()
	rows := grouped.Groups[0].Rows
	grouped.Groups = []SessionGroup{{Label: "ada", Count: 4, Revoke: "/sessions/revoke-chosen?heading=ada", Rows: rows[:4]},
		{Label: "grace", Count: 31, Revoke: "/sessions/revoke-chosen?heading=grace", Rows: rows[4:6]}, {Label: "alan", Count: 2, Rows: rows[6:8]}}
	grouped.Revoke = "/sessions/revoke-chosen?country=DE"
	grouped.Filter = SessionFilter{Group: "user", Sort: "user", Country: "DE"}
	none := sampleEverybody()
	none.Groups, none.Pages, none.People, none.Filter.Search = nil, Pager{}, 0, "nothing like it"

	hostileDetail := sampleDetail()
	hostileDetail.UserAgent, hostileDetail.Client, hostileDetail.System, hostileDetail.Network = hostile, hostile, hostile, hostile
	hostileDetail.Device, hostileDetail.SystemFull, hostileDetail.ClientFull, hostileDetail.ReportedBy = hostile, hostile, hostile, hostile
	hostileDetail.Apps[0].Host, hostileDetail.Place, hostileDetail.User = hostile, hostile, hostile
	bare := &SessionPage{Layout: sampleLayout("sessions"), SessionRow: current, NoPlaces: true, APIPath: "/api/v3/core/authenticated_sessions/" + current.UUID + "/"}
	bare.Client, bare.System, bare.Kind = "", "", "unknown"
	bare.Idle, bare.Absolute = ago(-sampleDay), ago(-9*sampleDay)

	manyPeople := sampleChosen()
	manyPeople.People, manyPeople.Rest = []PersonCount{{"ada", 40}, {"mary-katherine.longname", 20}, {"grace", 1}}, 204
	for len(manyPeople.Sessions) < 61 {
		manyPeople.Sessions = append(manyPeople.Sessions, others...)
	}
	hostileChosen := sampleChosen()
	hostileChosen.People = []PersonCount{{hostile, 1}, {hostile, 2}}
	for i := range hostileChosen.Sessions {
		r := &hostileChosen.Sessions[i]
		r.Client, r.System, r.User, r.Place, r.UUID, r.From = hostile, hostile, hostile, hostile, hostile, hostile
	}

	users := []UserRow{
		{ID: 1, Username: "ada", Name: "Ada Lovelace", Email: "ada@home.example", Superuser: true, Groups: []string{"admins", "family"}, Sessions: 4, SignedIn: ago(5 * time.Hour), LastSeen: ago(0), Self: true},
		{ID: 2, Username: "grace", Name: "Grace Hopper", Email: "grace@home.example", Groups: []string{"family", "media"}, Sessions: 2, SignedIn: ago(9 * sampleDay), LastSeen: ago(3 * time.Hour), Failures: 12, LockedUntil: ago(-12 * time.Minute)},
		{ID: 3, Username: "alan", Name: "Alan Turing", Disabled: true, Groups: []string{"guests"}, SignedIn: ago(70 * sampleDay), LastSeen: ago(70 * sampleDay)},
		{ID: 4, Username: "edsger"},
	}
	tokens := []TokenRow{
		{1, 1, "backup-script", "ada", "ends sessions before the nightly backup", "all", ago(40 * sampleDay), time.Time{}, ago(3 * time.Hour), false},
		{2, 1, "home-assistant", "ada", "", "gate:files.home.example,home.home.example", ago(12 * sampleDay), ago(-78 * sampleDay), time.Time{}, false},
		{3, 2, "old-laptop", "grace", "", "read", ago(400 * sampleDay), ago(35 * sampleDay), ago(36 * sampleDay), true},
	}
	events := []EventRow{
		{ago(2 * time.Minute), "good", "<bdi>ada</bdi> signed in", "Firefox 140 on Linux", "Local network", "192.168.1.20", "/sessions/018f3a1c-7e20-7c3d-9b1e-000000000001"},
		{ago(50 * time.Minute), "bad", "sign-in as <bdi>ada</bdi> refused", "curl 8.14", "Milton, United States", "216.160.83.56", ""},
		{ago(5 * time.Hour), "warning", "<bdi>ada</bdi> set a new password for <bdi>grace</bdi>", "Firefox 140 on Linux", "Local network", "192.168.1.20", ""},
		{ago(3 * sampleDay), "", "<bdi>grace</bdi> signed out", "Mobile Safari 18.5 on iPad", "Munich, Germany", "2003:e2:d700:1:5054:ff:fe12:3456", ""},
	}
	failedDetails := "That email address has no @. Write it like name@example.com."
	return []sample{
		{"api", "api", sampleAPI(sampleLayout(""), "{\n  \"username\": \"ada\"\n}")},
		{"api-stranger", "api", sampleAPI(stranger, "")},
		{"api-hostile", "api", sampleAPI(sampleLayout(""), strings.Repeat(Visible(hostile)+"\n", 5))},
		{"login", "login", &LoginPage{Layout: stranger, App: "grafana.home.example", RD: "https://grafana.home.example/d/1", Remember: true, Days: 14}},
		{"login-failed", "login", &LoginPage{Layout: mending, Username: "ada", Failed: true, Hours: 1}},
		{"login-wait", "login", &LoginPage{Layout: stranger, Username: "ada", RetryAfter: 11 * time.Minute}},
		{"code", "code", &CodePage{Layout: stranger, App: "grafana.home.example", RD: "https://grafana.home.example/", Username: "ada", Codes: true, Recovery: true, Trust: Span{Days: 30}}},
		{"code-wrong", "code", &CodePage{Layout: stranger, RD: "/sessions", Username: "ada", Recovery: true, Error: "That code is not right, or was used before. Wait for the next one and try again."}},
		{"set-up", "totp", &TOTPPage{Layout: stranger, RD: "/sessions", App: "grafana.home.example", Username: "ada", QR: sampleQR(), Key: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", URI: AppLink("otpauth://totp/x"), Name: "Authenticator app"}},
		{"totp", "totp", &TOTPPage{Layout: sampleLayout("profile"), QR: sampleQR(), Key: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", URI: AppLink("otpauth://totp/x"), Name: hostile, Error: "This code is not right. Give the one that the app shows now."}},
		{"login-passkey", "login", &LoginPage{Layout: stranger, Passkeys: true, Error: "That passkey is not good here: it was removed, or your device did not say that it is you, or that took more than five minutes.", Days: 14}},
		{"code-passkey", "code", &CodePage{Layout: stranger, RD: "/sessions", Username: "ada", Codes: true, HasPasskey: true, Passkeys: true, Recovery: true}},
		{"passkey-alone", "code", &CodePage{Layout: stranger, RD: "/sessions", Username: "ada", HasPasskey: true, Passkeys: true, Recovery: true}},
		{"set-up-passkey", "totp", &TOTPPage{Layout: stranger, RD: "/sessions", Username: "ada", QR: sampleQR(), Key: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", URI: AppLink("otpauth://totp/x"), Name: "Authenticator app", Passkeys: true}},
		{"passkey", "passkey", &PasskeyPage{Layout: sampleLayout("profile"), Name: hostile, Error: "That passkey could not be set up. Try again, within five minutes."}},
		{"recovery", "recovery", &RecoveryPage{Layout: sampleLayout("profile"), Next: "/profile", Codes: strings.Fields(strings.Repeat("ABCD-EFGH-IJKL-MN23 ", 10))}},
		{"own-password", "own_password", &OwnPasswordPage{Layout: stranger, App: "grafana.home.example", RD: "https://grafana.home.example/", Username: hostile, MinLength: 12, Error: "This is the password that you were given. Choose another."}},
		{"invited", "link", &LinkPage{Layout: stranger, Choose: true, Username: "ada", MinLength: 12, Error: "There is already a user of that name."}},
		{"invited-passkey", "link", &LinkPage{Layout: stranger, Choose: true, MinLength: 12, PasskeyURL: "/link/x/passkey"}},
		{"invited-by-name", "link", &LinkPage{Layout: stranger, Username: hostile, MinLength: 12}},
		{"reset", "link", &LinkPage{Layout: stranger, Reset: true, Username: "ada", MinLength: 12}},
		{"invitation", "link_made", &LinkMadePage{Layout: sampleLayout("users"), Superuser: true, Link: "https://auth.home.example/link/iWbGqjP5Vn8gE1oA1d5tXrJ9w4F2uB7yQ0sK6mZ3hLc", Expires: ago(-3 * sampleDay), Back: "/users"}},
		{"reset-link", "link_made", &LinkMadePage{Layout: sampleLayout("users"), Reset: true, Username: hostile, Link: "https://auth.home.example/link/iWbGqjP5Vn8gE1oA1d5tXrJ9w4F2uB7yQ0sK6mZ3hLc", Expires: ago(-3600e9), Back: "/users/3"}},
		{"again", "again", &AgainPage{Layout: sampleLayout(""), Password: true, Username: "ada", Way: "post", Back: "/tokens", Passkeys: true, Failed: true, Code: true, Sent: []Choice{{"identifier", hostile}}}},
		{"setup", "setup", &SetupPage{Layout: stranger, Token: "0a1b2c", MinLength: 12}},
		{"setup-wrong", "setup", &SetupPage{Layout: stranger, MinLength: 12, Username: "ada", Error: "A password has 8 characters or more."}},
		{"logout", "logout", &LogoutPage{Layout: sampleLayout(""), Action: "/outpost.goauthentik.io/sign_out", App: "grafana.home.example"}},
		{"error", "error", &ErrorPage{Layout: sampleLayout(""), Status: 404, What: "There is no such page", Do: "Check the address, or go back to your sessions.", Asked: "/nothing", Back: "/sessions", BackText: "Your sessions"}},
		{"refused", "error", &ErrorPage{Layout: stranger, Status: 403, What: "You may not open this app", Do: "None of your groups is let in. A superuser can let one in on the page Rules.", Who: "grace", Groups: []string{"family", "media"}, Asked: "admin.home.example", Back: "/sessions", BackText: "Your sessions"}},
		{"sessions", "sessions", flashed},
		{"sessions-one", "sessions", one},
		{"everybody", "sessions", sampleEverybody()},
		{"everybody-grouped", "sessions", grouped},
		{"everybody-none", "sessions", none},
		{"hostile", "sessions", sampleHostile()},
		{"confirm", "confirm", &ConfirmPage{Layout: sampleLayout("sessions"), Sessions: others[1:2], Action: "/sessions/x/revoke", Back: "/sessions"}},
		{"device", "device", &DevicePage{Layout: sampleLayout("sessions"), DeviceRow: *flashed.Others[1], Since: ago(90 * sampleDay), LastLogin: ago(sampleDay), TrustedUntil: ago(-29 * sampleDay), MaxName: 60, Back: "/sessions"}},
		{"device-away", "device", &DevicePage{Layout: sampleLayout("sessions"), DeviceRow: *flashed.Away[0], Since: ago(90 * sampleDay), LastLogin: ago(sampleDay), MaxName: 60, Typed: hostile, Error: "A device’s name has 60 characters or fewer, on one line.", Back: "/sessions"}},
		{"confirm-device", "confirm", &ConfirmPage{Layout: sampleLayout("sessions"), Device: flashed.Others[1], Sessions: flashed.Others[1].Sessions, Action: "/devices/x/sign-out", Back: "/sessions"}},
		{"confirm-forget", "confirm", &ConfirmPage{Layout: sampleLayout("sessions"), Device: flashed.Others[1], Forget: true, Sessions: flashed.Others[1].Sessions, Action: "/devices/x/forget", Back: "/sessions"}},
		{"confirm-not-me", "confirm", &ConfirmPage{Layout: sampleLayout("sessions"), Sessions: others[1:2], NotMe: true, Action: "/sessions/x/not-me", Back: "/sessions"}},
		{"confirm-others", "confirm", &ConfirmPage{Layout: sampleLayout("sessions"), Sessions: others, Others: true, Action: "/sessions/revoke-others", Back: "/sessions"}},
		{"session", "session", sampleDetail()},
		{"session-bare", "session", bare},
		{"session-hostile", "session", hostileDetail},
		{"profile", "profile", &ProfilePage{Layout: sampleLayout("profile"), Passkeys: true, Username: "ada", Name: "Ada Lovelace", Email: "ada", Groups: users[0].Groups, Joined: ago(200 * sampleDay), PasswordChanged: ago(200 * sampleDay), MinLength: 12, Error: failedDetails, ErrorIn: "details", Alerts: &OwnAlerts{Mail: true, Types: sampleTicks(true)},
			Factors: Factors{TOTPs: []Factor{{1, "Phone", "", ago(90 * sampleDay), ago(time.Hour)}, {2, hostile, "", ago(time.Minute), time.Time{}}},
				Passkeys: []Factor{{1, "Safari on iPhone", "", ago(3 * sampleDay), ago(time.Hour)}, {2, hostile, "old.home.example", ago(3 * sampleDay), time.Time{}}}, Recovery: 8}}},
		{"profile-plain", "profile", &ProfilePage{Layout: sampleLayout("profile"), Username: "ada", Joined: ago(200 * sampleDay), PasswordChanged: ago(200 * sampleDay), MinLength: 12}},
		{"profile-passkey", "profile", &ProfilePage{Layout: sampleLayout("profile"), NoPassword: true, Passkeys: true, Username: "ada", Joined: ago(200 * sampleDay), MinLength: 12, Error: "You have no password, so this passkey is your only way in. Set a password, or another passkey, before you remove it.", ErrorIn: "factors",
			Factors: Factors{Passkeys: []Factor{{1, "iCloud Keychain", "", ago(3 * sampleDay), ago(time.Hour)}}, Recovery: 10}}},
		{"again-passkey", "again", &AgainPage{Layout: sampleLayout(""), Username: "ada", Way: "get", Passkeys: true, Back: "/profile"}},
		{"users", "users", &UsersPage{Layout: sampleLayout("users"), Users: users, MissingFactor: 2,
			Links: []LinkRow{{1, false, "", true, users[0].Groups, "ada", ago(-3 * sampleDay)}, {2, true, hostile, false, nil, hostile, ago(-time.Hour)}, {3, false, "edsger", false, nil, "ada", ago(-time.Hour)}}, MinLength: 12, Pages: Pager{Page: 1, Pages: 1, First: 1, Last: 4, Total: 4}, Error: "There is already a user of that name.", ErrorIn: "add"}},
		{"user", "user", &UserPage{Layout: sampleLayout("users"), UserRow: users[1], Joined: ago(90 * sampleDay), PasswordChanged: ago(5 * sampleDay), MinLength: 12,
			Factors: Factors{TOTPs: []Factor{{1, "Phone", "", ago(90 * sampleDay), ago(time.Hour)}}, Recovery: 1}}},
		{"user-last", "user", &UserPage{Layout: sampleLayout("users"), UserRow: users[0], LastSuperuser: true, Joined: ago(90 * sampleDay), PasswordChanged: ago(5 * sampleDay), MinLength: 12}},
		{"tokens", "tokens", &TokensPage{Layout: sampleLayout("tokens"), All: true, Tokens: tokens, Users: []Choice{{"1", "ada"}, {"2", "grace"}}, New: TokenRow{User: "1"}}},
		{"token-created", "token_created", &TokenCreatedPage{Layout: sampleLayout("tokens"), TokenRow: tokens[1], Key: "ls_4b8mXJ0Zt2pQvWc7yR9hNfKsDq3eLgUa6TiBoEx1", PublicURL: "https://auth.home.example"}},
		{"events", "events", &EventsPage{Layout: sampleLayout("events"), All: true, History: 90, Events: events, Actions: []Choice{{"login", EventWords["login"]}, {"login_failed", EventWords["login_failed"]}}, Pages: Pager{Page: 1, Pages: 1, First: 1, Last: 4, Total: 4}, Chart: sampleChart(8)}},
		{"chosen", "chosen", sampleChosen()},
		{"chosen-many", "chosen", manyPeople},
		{"chosen-none", "chosen", &ChosenPage{Layout: sampleLayout("sessions")}},
		{"chosen-hostile", "chosen", hostileChosen},
		{"doctor", "doctor", &DoctorPage{Layout: sampleLayout("doctor"), At: sampleNow, Checks: []Check{
			{"good", "Database", "Readable and writable, 1,204 sessions, 3 MB.", ""},
			{"warning", "City database", "GeoLite2-City of 2 September 2026 is 68 days old.", "Download a newer GeoLite2-City.mmdb into data/geoip; it is used within ten seconds."},
			{"bad", "Network database", "data/geoip/GeoLite2-ASN.mmdb does not exist.", "Put GeoLite2-ASN.mmdb there, or name another file with --geoip-asn."},
			{"good", "Clock", "Within a second of the file system’s.", ""},
		}}},
		{"alerts", "alerts", &AlertsPage{Layout: sampleLayout("alerts"), Mail: true, Types: sampleTicks(true), Error: "There is no mail server to send it through: set --smtp first.", Targets: []TargetRow{
			{ID: "s1a2b3c4", Name: "ntfy://ntfy.home.example", Set: true, Types: sampleTicks(true)},
			{ID: "1", Name: "webhook+https://a-very-long-name-of-a-host.automation.home.example:8123", Types: sampleTicks(false), ProblemAt: ago(3 * time.Hour),
				Problem: "webhook+https://a-very-long-name-of-a-host.automation.home.example:8123 answered 502 Bad Gateway"},
			{ID: "2", Types: sampleTicks(true), ProblemAt: ago(sampleDay), Problem: "its address cannot be read"},
		}}},
		{"alerts-none", "alerts", &AlertsPage{Layout: sampleLayout("alerts"), Types: sampleTicks(true)}},
		{"rules", "rules", &RulesPage{Layout: sampleLayout("rules"), Groups: []string{"admins", "family"},
			Allowed: []RuleRow{{ID: 1, Host: "grafana.home.example", Groups: []string{"admins"}}, {ID: 2, Host: "*.media.home.example", Groups: []string{"family", "media"}}},
			Open:    []RuleRow{{ID: 3, Host: "files.home.example", Path: "/public/*"}},
			Error:   "That is not a host name.", ErrorIn: "open", New: RuleRow{Host: "http://x"}}},
	}
}
