package web

import (
	"net/url"
	"strconv"
	"time"
)

// What the pages show. A handler fills one of these with plain data and hands it to
// [pages.render]; the words, and how a time or a number is written, are the template's.
// Every text may come from a stranger: the templates escape and isolate it.

// layout is the frame around every page, and part of each of their structs.
type layout struct {
	Now          time.Time
	Nav          string // the entry that is marked: sessions, events, tokens, users, rules, doctor, profile
	Viewer       string // the user name of who is signed in, or "" on pages for anybody
	Admin        bool   // they are a superuser
	Theme        string // light, dark, or "" for the system's
	Path         string // this page's own path and query, where choosing a language or theme leads back to
	Base         string // what links are relative to, on a page shown under an app's host; "" elsewhere
	Languages    []languageChoice
	Flash        *flash
	Attributions []attribution
	Version      string
}

// flash says what just happened. Its text is ready to read, see [pages.text].
type flash struct {
	Kind string // good, warning, or bad
	Text string
	At   time.Time
}

// attribution is the line that the makers of a loaded place database ask for.
type attribution struct{ Text, URL string }

type languageChoice struct {
	Code, Name string
	Current    bool
}

// languageChoices lists our languages under their own names, for the footer.
func (p *pages) languageChoices(current string) []languageChoice {
	var all []languageChoice
	for _, w := range p.languages {
		all = append(all, languageChoice{w.code, w.text("language name"), w.code == current})
	}
	return all
}

// msg marks an English text in Go code that a page will say in its reader's language,
// for the test that looks for untranslated ones.
func msg(key string) string { return key }

// How a session ended, for sessionRow.EndedBy.
var (
	endedSignOut  = msg("signed out")
	endedRevoked  = msg("signed out from another device")
	endedByAdmin  = msg("signed out by an administrator")
	endedExpired  = msg("ran out")
	endedIdle     = msg("ran out unused")
	endedPassword = msg("ended by a new password")
	endedReplaced = msg("replaced by a new sign-in")
	endedDisabled = msg("ended with the account")
	endedRestored = msg("ended when a backup was restored")
)

// How a session began, for sessionPage.SignedInBy.
var (
	signedInPassword = msg("with a password")
	signedInSetup    = msg("at setup")
)

// eventWords say the actions that are more than a change of something.
var eventWords = map[string]string{
	"login":        msg("signed in"),
	"login_failed": msg("sign-in refused"),
	"logout":       msg("signed out"),
	"password_set": msg("password changed"),
	"secret_view":  msg("backup downloaded"),
}

// choice is an option of a select.
type choice struct{ Value, Text string }

// Signing in.

type loginPage struct {
	layout
	App        string // the host one is going to; "" for Lastseen itself
	RD         string
	Username   string
	Remember   bool
	Failed     bool // user name or password wrong, or the account disabled: always the same text
	RetryAfter time.Duration
	NoUsers    bool // there is nobody yet who could sign in
}

// Minutes is RetryAfter, rounded up.
func (p loginPage) Minutes() int {
	return int((p.RetryAfter + time.Minute - 1) / time.Minute)
}

type setupPage struct {
	layout
	Token, Username string
	AskToken        bool // the address carried none
	MinLength       int
	Error           string // an English key; "" when nothing is wrong yet
}

type logoutPage struct {
	layout
	Action string // where the form posts to: /logout, or the gate's sign_out
	App    string // the host whose sign-out was asked for
	Next   string
}

// errorPage says what is wrong and what to do, in English keys of the language files.
type errorPage struct {
	layout
	Status         int
	What, Do       string
	Back, BackText string // a link, if one helps
	Request        string // an id to quote, if the log has it
}

// Sessions.

// sessionRow is one session in a list.
type sessionRow struct {
	UUID                       string
	Kind                       string // an icon: phone, tablet, desktop, tv, console, script, bot, unknown
	Client, System             string // "Firefox 140", "Linux"; either may be ""
	User                       string
	Place                      string // "London, GB", or "" when not known
	Network                    string // the name of the network's owner
	IP                         string
	Local, Carrier             bool // a private address; a shared one of a carrier (100.64.0.0/10)
	Created, LastUsed, Expires time.Time
	Current                    bool // the one that asks
	NewCountry                 bool
	Ended                      time.Time // zero while the session is active
	EndedBy                    string    // an English key, such as "signed out", "ran out", "signed out by an administrator"
}

// sessionGroup is a part of the list under a heading; a list without grouping is one
// group without a Label.
type sessionGroup struct {
	Label string
	Kind  string // an icon for a device, "" for a person
	Rows  []sessionRow
}

type sessionsPage struct {
	layout
	Everybody bool        // a superuser looks at all; else one's own
	Current   *sessionRow // this device; nil in everybody's view
	Groups    []sessionGroup
	Others    int // own active sessions but this one
	Ended     []sessionRow
	History   int // days for which ended ones are kept
	People    int // whose sessions these are, in everybody's view
	NoPlaces  bool
	Filter    sessionFilter
	Countries []choice
	Networks  []choice
	Pages     pager
	Map       *worldMap
	Chart     *chart
	Revision  string // what /sessions/live answers while nothing has changed
}

// Devices is how many devices one is signed in on, this one counted.
func (p sessionsPage) Devices() int {
	if p.Current == nil {
		return p.Others
	}
	return p.Others + 1
}

// sessionFilter is the query of everybody's view.
type sessionFilter struct {
	Search, User, Country, Network, Kind string
	State                                string // active (also as ""), ended, or all
	Group                                string // "", user or device
	Sort                                 string // user, place, used, expires; - before it for descending
	Page                                 int
}

// Narrow reports whether anything but the order was chosen.
func (f sessionFilter) Narrow() bool {
	return f.Search != "" || f.User != "" || f.Country != "" || f.Network != "" || f.Kind != "" ||
		f.State != "" && f.State != "active"
}

func (f sessionFilter) values() url.Values {
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
func (f sessionFilter) Link(page int) string {
	v := f.values()
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	return "/sessions?" + v.Encode()
}

// SortLink is the address of the same view in another order, from its first page. The
// column that already sorts is turned round.
func (f sessionFilter) SortLink(column string) string {
	if f.Sort == column {
		column = "-" + column
	}
	f.Sort = column
	return f.Link(1)
}

// Sorted is ascending, descending or none, for aria-sort.
func (f sessionFilter) Sorted(column string) string {
	switch f.Sort {
	case column:
		return "ascending"
	case "-" + column:
		return "descending"
	}
	return "none"
}

// Export is the address of the same selection as a file.
func (f sessionFilter) Export(format string) string {
	return "/sessions/export." + format + "?" + f.values().Encode()
}

// pager is where a list stands. Its zero value shows nothing.
type pager struct {
	Page, Pages    int
	First, Last    int // the numbers of the rows shown
	Total          int
	Previous, Next string // addresses, "" at the ends
}

type confirmPage struct {
	layout
	Sessions []sessionRow // those that will end
	Others   bool         // they are all but this device
	Action   string       // where the form posts to
	Back     string
}

type sessionPage struct {
	layout
	sessionRow
	SignedInBy  string // an English key, such as "with a password"
	Absolute    time.Time
	Idle        time.Time // zero when sessions do not end from idleness
	ReportedBy  string    // the proxy that named the address; "" for the peer's own
	ASN         int
	CIDR        string
	CountryOnly bool      // the place is no more than that
	PlaceFrom   string    // the database, such as "GeoLite2-City"
	PlaceBuilt  time.Time // zero when it does not say
	NoPlaces    bool
	Device      string // "Apple iPhone"
	SystemFull  string // with its whole version
	ClientFull  string
	UserAgent   string
	Apps        []appUse
	APIPath     string
}

type appUse struct {
	Host                string
	FirstUsed, LastUsed time.Time
}

// People.

type profilePage struct {
	layout
	Username, Name, Email string
	Groups                []string
	Joined                time.Time
	PasswordChanged       time.Time
	MinLength             int
	Error                 string // of the form named by ErrorIn, an English key
	ErrorIn               string // details or password
}

type userRow struct {
	ID                    int64
	Username, Name, Email string
	Superuser, Disabled   bool
	Groups                []string
	Sessions              int
	LastSeen              time.Time
	Self                  bool
}

type usersPage struct {
	layout
	Search    string
	Users     []userRow
	Pages     pager
	MinLength int
	New       userRow // what was typed, when the form was wrong
	Error     string
}

type userPage struct {
	layout
	userRow
	Joined          time.Time
	PasswordChanged time.Time
	Failures        int  // wrong passwords in the last hour
	Locked          bool // from somewhere, for those
	LastSuperuser   bool // may not be disabled, deleted or made ordinary
	MinLength       int
	Error           string
	ErrorIn         string // details, groups, password, or delete
}

// Tokens.

type tokenRow struct {
	Identifier, User, Description string
	Created, Expires              time.Time // a zero Expires is never
	Expired                       bool
}

type tokensPage struct {
	layout
	All    bool // a superuser sees everybody's
	Tokens []tokenRow
	Users  []choice // for whom a superuser may make one
	New    tokenRow
	Error  string
}

type tokenCreatedPage struct {
	layout
	tokenRow
	Key       string // shown here and never again
	PublicURL string
}

// Events.

type eventRow struct {
	At     time.Time
	Kind   string // good, bad, warning or ""
	What   string // an English key, such as "signed in" or "password refused"
	User   string // to whom it happened
	By     string // who did it, if that was somebody else
	Device string
	Place  string
	IP     string
	Detail string
	URL    string // the session's page, if it still is there
}

type eventsPage struct {
	layout
	All     bool
	History int
	Events  []eventRow
	Search  string
	Action  string
	Actions []choice // their Text is an English key
	Pages   pager
	Chart   *chart
}

// Doctor and rules.

type check struct {
	State string // good, warning or bad
	Name  string // an English key
	Found string // what was found, in words
	Do    string // what to change, "" when nothing
}

type doctorPage struct {
	layout
	Checks []check
	At     time.Time
}

// Worst is the state of the worst check.
func (p doctorPage) Worst() string {
	worst := "good"
	for _, c := range p.Checks {
		if c.State == "bad" || c.State == "warning" && worst == "good" {
			worst = c.State
		}
	}
	return worst
}

// Problems is how many checks are not good.
func (p doctorPage) Problems() int {
	n := 0
	for _, c := range p.Checks {
		if c.State != "good" {
			n++
		}
	}
	return n
}

type ruleRow struct {
	ID     int64
	Host   string
	Groups []string // who may reach the host
	Path   string   // or, which path of it is open to all
}

type rulesPage struct {
	layout
	Allowed, Open []ruleRow
	Groups        []string // those that exist, for completion
	New           ruleRow
	Error         string
	ErrorIn       string // allow or open
}
