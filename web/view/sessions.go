package view

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How a session ended, for SessionRow.EndedBy.
var (
	EndedSignOut  = Msg("signed out")
	EndedRevoked  = Msg("signed out from another device")
	EndedByAdmin  = Msg("signed out by an administrator")
	EndedExpired  = Msg("ran out")
	EndedIdle     = Msg("ran out unused")
	EndedPassword = Msg("ended by a new password")
	EndedReplaced = Msg("replaced by a new sign-in")
	EndedDisabled = Msg("ended with the account")
	EndedRestored = Msg("ended when a backup was restored")
)

// SignedInBy says how a session began, by its method, for SessionPage.SignedInBy.
var SignedInBy = map[string]string{
	"password":          Msg("with a password"),
	"password+totp":     Msg("with a password and a code"),
	"password+recovery": Msg("with a password and a recovery code"),
	"password+passkey":  Msg("with a password and a passkey"),
	"password+trusted":  Msg("with a password, on a trusted device"),
	"passkey":           Msg("with a passkey"),
	"setup":             Msg("at setup"),
	"setup+totp":        Msg("at setup, with a code"),
	"setup+passkey":     Msg("at setup, with a passkey"),
	"link":              Msg("by a link"),
	"link+totp":         Msg("by a link and a code"),
	"link+recovery":     Msg("by a link and a recovery code"),
	"link+passkey":      Msg("by a link and a passkey"),
}

// SessionRow is one session in a list.
type SessionRow struct {
	UUID                       string
	Name                       string // what its device is called, or ""
	DeviceID                   string // the device's public name; "" when it has none
	Kind                       string // an icon: phone, tablet, desktop, tv, console, script, bot, unknown
	Client, System             string // "Firefox 140", "Linux"; either may be ""
	User                       string
	Place                      string // "London, United Kingdom", or "" when not known
	Network                    string // the name of the network's owner
	IP                         string
	Local, Carrier             bool // a private address; a shared one of a carrier (100.64.0.0/10)
	Created, LastUsed, Expires time.Time
	Current                    bool      // the one that asks
	FirstFrom                  string    // the country that this is the person's first session from; "" when it is not
	Ended                      time.Time // zero while the session is active
	EndedBy                    string    // an English key, such as "signed out", "ran out", "signed out by an administrator"
	From                       string    // the address of the list that leads here and is led back to; "" for one's own
}

// URL is the address of the session's page.
func (r SessionRow) URL() string {
	if r.From == "" {
		return "/sessions/" + r.UUID
	}
	return "/sessions/" + r.UUID + "?" + url.Values{"from": {r.From}}.Encode()
}

// A DeviceRow is a device: as its session that was used last, with all that live on it.
// Without a DeviceID it is what sessions from before there were devices have in common.
type DeviceRow struct {
	SessionRow
	Sessions []SessionRow
}

// Marked reports whether something is special about one of several sessions.
func (d DeviceRow) Marked() bool {
	return slices.ContainsFunc(d.Sessions, func(r SessionRow) bool { return r.FirstFrom != "" })
}

// SessionGroup is a part of the list under a heading; a list without grouping is one
// group without a Label.
type SessionGroup struct {
	Label  string
	Kind   string // an icon for a device, "" for a person
	Count  int    // how many there are in all, on whatever page
	Revoke string // the address that signs all of them out; "" where there is none to
	Rows   []SessionRow
}

type SessionsPage struct {
	Layout
	Everybody bool       // a superuser looks at all; else one's own
	Current   *DeviceRow // this device; nil in everybody's view
	Others    []*DeviceRow
	Away      []*DeviceRow   // those with a name that one is not signed in on
	Groups    []SessionGroup // in everybody's view
	Ended     []SessionRow
	History   int // days for which ended ones are kept
	People    int // whose sessions these are, in everybody's view
	NoPlaces  bool
	Filter    SessionFilter
	Countries []Choice
	Networks  []Choice
	Usernames []string // to choose from, where they are few
	Pages     Pager
	Map       *WorldMap
	Chart     *Chart
	PageOnly  bool     // the map shows no more than the page, there being so many
	Revoke    string   // the address that signs out all that a narrowed list shows; "" where there is none to
	Revision  string   // what /sessions/live answers while nothing has changed
	Steps     []string // what a new instance's superuser may do next: places, gate, user
	MaxSorted int      // up to how many sessions are sorted by place, where these are more; 0 where it does not matter
}

// Devices is how many devices one is signed in on, this one counted.
func (p SessionsPage) Devices() int {
	if p.Current == nil {
		return len(p.Others)
	}
	return len(p.Others) + 1
}

// SessionFilter is the query of everybody's view.
type SessionFilter struct {
	Search, User, Country, Network, Kind string
	State                                string // active (also as ""), ended, or all
	Group                                string // "", user or device
	Heading                              string // what is to be signed out of a grouped list; no link but that has it
	Sort                                 string // user, place, used, expires; - before it for descending
	Page                                 int
}

// Narrow reports whether anything but the order was chosen.
func (f SessionFilter) Narrow() bool {
	return f.Search != "" || f.User != "" || f.Country != "" || f.Network != "" || f.Kind != "" ||
		f.State != "" && f.State != "active"
}

func (f SessionFilter) values() url.Values {
	v := url.Values{"view": {"everybody"}}
	for name, value := range map[string]string{
		"search": f.Search, "user": f.User, "country": f.Country, "network": f.Network,
		"kind": f.Kind, "state": f.State, "group": f.Group, "sort": f.Sort,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// Link is the address of the same view with another page.
func (f SessionFilter) Link(page int) string {
	v := f.values()
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	return "/sessions?" + v.Encode()
}

// SortLink is the address of the same view in another order, from its first page. The
// column that already sorts is turned round.
func (f SessionFilter) SortLink(column string) string {
	if f.Sort == column {
		column = "-" + column
	}
	f.Sort = column
	return f.Link(1)
}

// RevokeLink is the address that signs out all that the view shows, or all under a heading.
func (f SessionFilter) RevokeLink(heading string) string {
	v := f.values()
	if heading != "" {
		v.Set("heading", heading)
	}
	v.Set("from", f.Link(f.Page))
	return "/sessions/revoke-chosen?" + v.Encode()
}

// OnlyUser reports whether the view is narrowed to a person, and no further.
func (f SessionFilter) OnlyUser() bool {
	return f.User != "" && !SessionFilter{Search: f.Search, Country: f.Country, Network: f.Network, Kind: f.Kind, State: f.State}.Narrow()
}

// Unfollowed reports whether something was chosen that no event tells of, so that the
// chart does not follow it.
func (f SessionFilter) Unfollowed() bool {
	return f.Search != "" || f.Kind != "" || f.State == "ended"
}

// Sorted is ascending, descending or none, for aria-sort.
func (f SessionFilter) Sorted(column string) string {
	switch f.Sort {
	case column:
		return "ascending"
	case "-" + column:
		return "descending"
	}
	return "none"
}

// Export is the address of the same selection as a file.
func (f SessionFilter) Export(format string) string {
	return "/sessions/export." + format + "?" + f.values().Encode()
}

type ConfirmPage struct {
	Layout
	Sessions []SessionRow // those that will end
	Others   bool         // they are all but this device
	Device   *DeviceRow   // they are all on it; nil for a session alone
	Forget   bool         // the device is forgotten, too
	NotMe    bool         // it was somebody else, and a new password is next
	Action   string       // where the form posts to
	From     string       // the list that is led back to afterwards; "" for the usual one
	Back     string
}

type DevicePage struct {
	Layout
	DeviceRow
	Since, LastLogin time.Time
	TrustedUntil     time.Time // zero: it is not
	MaxName          int
	Typed            string // when the form was wrong
	Error            string // an English key
	Back             string // the list that it stands in
}

// A ChosenPage asks before several sessions are signed out.
type ChosenPage struct {
	Layout
	Sessions []SessionRow // those that will end
	People   []PersonCount
	Spared   bool // the session that asks was chosen too, and goes on
	Rest     int  // how many more were meant than can be ended at once
	From     string
}

// A PersonCount is of how many of their sessions something is said.
type PersonCount struct {
	Name  string
	Count int
}

// Person is whose they are, "" for those of several.
func (p ChosenPage) Person() string {
	if len(p.People) == 1 {
		return p.People[0].Name
	}
	return ""
}

// Back is where one goes who does not want it.
func (p ChosenPage) Back() string { return cmp.Or(p.From, "/sessions") }

// shownChosen is how many of the chosen are listed one by one.
const shownChosen = 50

// Shown are those that are listed.
func (p ChosenPage) Shown() []SessionRow { return p.Sessions[:min(len(p.Sessions), shownChosen)] }

// Unshown is how many are not.
func (p ChosenPage) Unshown() int { return len(p.Sessions) - len(p.Shown()) }

// lists are the pages whose rows lead to sessions, with what they are called.
var lists = map[string]string{"/sessions": Msg("Sessions"), "/events": Msg("Events")}

var everybodyName = Msg("Everybody’s sessions")

// ListName is the English key of what a list is called, by its path; "" for any other path.
func ListName(path string) string { return lists[path] }

type SessionPage struct {
	Layout
	SessionRow
	NotMe        bool      // its person may say that it was somebody else
	Back         string    // the list that one came from
	Map          *WorldMap // with its own place alone
	SignedInBy   string    // an English key, such as "with a password"
	TrustedUntil time.Time // of its device; zero: it is not
	Proven       time.Time // when they last proved again who they are; zero: not since
	Absolute     time.Time
	Idle         time.Time // zero when sessions do not end from idleness
	ReportedBy   string    // the proxy that named the address; "" for the peer's own
	ASN          int
	CIDR         string
	CountryOnly  bool      // the place is no more than that
	PlaceFrom    string    // the database, such as "GeoLite2-City"
	PlaceBuilt   time.Time // zero when it does not say
	NoPlaces     bool
	Device       string // "Apple iPhone"
	SystemFull   string // with its whole version
	ClientFull   string
	UserAgent    string
	Apps         []AppUse
	APIPath      string
}

// BackName is the English key of what the list is called that one came from.
func (p SessionPage) BackName() string {
	path, query, _ := strings.Cut(p.Back, "?")
	if strings.Contains(query, "view=everybody") {
		return everybodyName
	}
	return ListName(path)
}

// SignedInApps reports whether an app has a cookie of its own.
func (p SessionPage) SignedInApps() bool {
	return slices.ContainsFunc(p.Apps, func(use AppUse) bool { return !use.SignedIn.IsZero() })
}

type AppUse struct {
	Host                string
	FirstUsed, LastUsed time.Time // zero: not yet
	SignedIn            time.Time // since when it has a cookie of its own; zero: it has none
}
