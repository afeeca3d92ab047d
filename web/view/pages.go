package view

import (
	"cmp"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the pages show. A handler fills one of these with plain data and hands it to
// [Pages.Render]; the words, and how a time or a number is written, are the template's.
// Every text may come from a stranger: the templates escape and isolate it.

// Layout is the frame around every page, and part of each of their structs.
type Layout struct {
	Now          time.Time
	Nav          string // the entry that is marked: sessions, events, tokens, users, rules, alerts, doctor, profile
	Viewer       string // the user name of who is signed in, or "" on pages for anybody
	Admin        bool   // they are a superuser
	Theme        string // light, dark, or "" for the system's
	Path         string // this page's own path and query, where choosing a language or theme leads back to
	Referrer     string // the policy of a page whose address is a secret; "" for the others'
	Base         string // what links are relative to, on a page shown under an app's host; "" elsewhere
	Languages    []languageChoice
	Flash        *Flash
	Invalid      string // the id of the field that has to be mended, which has the focus; "" for none
	Attributions []Attribution
	Version      string
}

// Flash says what just happened. Its text is ready to read, see [Pages.Text].
type Flash struct {
	Kind string // good, warning, or bad
	Text string
}

// Attribution is the line that the makers of a loaded place database ask for.
type Attribution struct{ Text, URL string }

type languageChoice struct {
	Code, Name string
	Current    bool
}

// LanguageChoices lists our languages under their own names, for the footer.
func (p *Pages) LanguageChoices(current string) []languageChoice {
	var all []languageChoice
	for _, w := range p.languages {
		all = append(all, languageChoice{w.code, w.text("language name"), w.code == current})
	}
	return all
}

// Msg marks an English text in Go code that a page will say in its reader's language,
// for the test that looks for untranslated ones.
func Msg(key string) string { return key }

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

// EventWords name the kinds of events, for choosing one.
var EventWords = map[string]string{
	"login":         Msg("signed in"),
	"login_failed":  Msg("sign-in refused"),
	"logout":        Msg("signed out"),
	"password_set":  Msg("password changed"),
	"secret_view":   Msg("backup downloaded"),
	"model_created": Msg("added"),
	"model_updated": Msg("changed"),
	"model_deleted": Msg("removed"),
}

// Choice is an option of a select.
type Choice struct{ Value, Text string }

// Signing in.

type LoginPage struct {
	Layout
	App        string // the host one is going to; "" for Lastseen itself
	RD         string
	State      string // with what binds the way back to this browser
	Username   string
	Remember   bool
	Days       int // for which a session lasts; 0 when those are hours
	Hours      int
	Failed     bool // user name or password wrong, or the account disabled: always the same text
	RetryAfter time.Duration
	NoUsers    bool   // there is nobody yet who could sign in
	Ended      bool   // the browser holds a session that is no more
	Error      string // an English key: why a passkey was refused
	Passkeys   bool   // can be used on this page
}

// Minutes is RetryAfter, rounded up.
func (p LoginPage) Minutes() int { return minutes(p.RetryAfter) }

func minutes(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }

// CodePage asks who has given the password for the second factor.
type CodePage struct {
	Layout
	App, RD, State string // as the sign-in page's
	Username       string
	Codes          bool   // they have an authenticator app
	Recovery       bool   // they have recovery codes left
	Trust          Span   // for how long the device may be trusted; zero: it may not
	HasPasskey     bool   // that is for this host
	Passkeys       bool   // can be used on this page
	Error          string // an English key
	RetryAfter     time.Duration
}

// A Span is a length of time in words, in days or else in hours; zero is none.
type Span struct{ Days, Hours int }

// NewSpan is a duration in whole days, or hours where it is shorter than two days.
func NewSpan(d time.Duration) Span {
	switch {
	case d <= 0:
		return Span{}
	case d >= 48*time.Hour:
		return Span{Days: int(d / (24 * time.Hour))}
	}
	return Span{Hours: max(1, int(d/time.Hour))}
}

// Minutes is RetryAfter, rounded up.
func (p CodePage) Minutes() int { return minutes(p.RetryAfter) }

// TOTPPage sets up an authenticator app: from the profile, or at a sign-in that has an RD.
type TOTPPage struct {
	Layout
	App, RD, State string
	Username       string
	QR             template.HTML
	Key            string       // as people type it
	URI            template.URL // as an app on this device takes it
	Factor, Sealed string       // what the form sends back
	Name           string
	Passkeys       bool   // one can be set up instead
	PasskeyName    string // what it may be called
	Error          string // an English key
}

// PasskeyPage sets up a passkey.
type PasskeyPage struct {
	Layout
	Name  string
	Error string // an English key
}

// RecoveryPage shows new recovery codes, this once.
type RecoveryPage struct {
	Layout
	Codes []string
	Next  string // where it leads on
}

// AgainPage asks for the password of who is signed in, before it goes on with what was sent.
type AgainPage struct {
	Layout
	Code       bool // a code is asked for beside the password
	Username   string
	Way        string   // get or post: what the page was asked for
	Sent       []Choice // the form's fields
	Passkeys   bool     // they have one, for this page
	Failed     bool
	Refused    string // why a passkey failed, an English key
	RetryAfter time.Duration
	Back       string
}

// Minutes is RetryAfter, rounded up.
func (p AgainPage) Minutes() int { return minutes(p.RetryAfter) }

type SetupPage struct {
	Layout
	Token, Username string
	MinLength       int
	Error           string // an English key; "" when nothing is wrong yet
}

// LinkPage makes an account, or sets a new password, for who holds a link.
type LinkPage struct {
	Layout
	Reset     bool
	Username  string
	Choose    bool // the person chooses it
	MinLength int
	Error     string // an English key
}

// LinkMadePage shows a new link, this once.
type LinkMadePage struct {
	Layout
	Reset     bool
	Username  string // "" where an invitation leaves it open
	Superuser bool
	Link      string
	Expires   time.Time
	Back      string
}

type LogoutPage struct {
	Layout
	Action string // where the form posts to: /logout, or the gate's sign_out
	App    string // the host whose sign-out was asked for
	Next   string
}

// ErrorPage says what is wrong and what to do, in English keys of the language files.
type ErrorPage struct {
	Layout
	Status         int
	What, Do       string
	Who            string // the user name of who asked, where that matters
	Groups         []string
	Asked          string // for what: a host, or a path here
	Back, BackText string // a link, if one helps
}

// Sessions.

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

// Pager is where a list stands. Its zero value shows nothing.
type Pager struct {
	Page, Pages    int
	First, Last    int // the numbers of the rows shown
	Total          int
	Previous, Next string // addresses, "" at the ends
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

// People.

type ProfilePage struct {
	Layout
	Username, Name, Email string
	Groups                []string
	Joined                time.Time
	PasswordChanged       time.Time
	MinLength             int
	Factors               Factors
	Passkeys              bool       // one can be set up on this page
	PasskeyURL            string     // where one can, "" where that is nowhere
	Alerts                *OwnAlerts // nil: there is no mail
	Error                 string     // of the form named by ErrorIn, an English key
	ErrorIn               string     // details, password or factors
}

// Factors are what somebody is asked for besides the password.
type Factors struct {
	TOTPs, Passkeys []Factor
	Recovery        int  // codes that are left
	Required        bool // the settings ask for one
}

// Count is how many there are, without the recovery codes.
func (f Factors) Count() int { return len(f.TOTPs) + len(f.Passkeys) }

// Any reports whether there is one.
func (f Factors) Any() bool { return f.Count() > 0 }

// Alone reports whether losing one thing would leave no way in.
func (f Factors) Alone() bool { return f.Count() == 1 && f.Recovery == 0 }

type Factor struct {
	ID              int64
	Name            string
	Elsewhere       string // the other host that a passkey is for
	Added, LastUsed time.Time
}

type UserRow struct {
	ID                    int64
	Username, Name, Email string
	Superuser, Disabled   bool
	Groups                []string
	Sessions              int
	SignedIn, LastSeen    time.Time // zero for never
	Self                  bool
	Failures              int       // wrong passwords in the last hour
	NoFactor              bool      // they must have a second factor, and have none
	LockedUntil           time.Time // from somewhere, for those; zero when they may sign in from everywhere
}

// UserFilter is the query of the list of users.
type UserFilter struct {
	Search string
	Sort   string // username, last_login, last_seen or sessions; - before it for descending
	Factor string // missing: of who must have one and has none
}

// Link is the address of the same list with another page.
func (f UserFilter) Link(page int) string {
	return "/users?" + url.Values{"search": {f.Search}, "sort": {f.Sort}, "factor": {f.Factor}, "page": {strconv.Itoa(page)}}.Encode()
}

// SortLink is the address of the same list in another order: by a name from its first,
// by anything else from the largest. The column that already sorts is turned round.
func (f UserFilter) SortLink(column string) string {
	first, second := "-"+column, column
	if column == "username" {
		first, second = second, first
	}
	if f.Sort == first {
		first = second
	}
	f.Sort = first
	return f.Link(1)
}

// Sorted is ascending, descending or none, for aria-sort.
func (f UserFilter) Sorted(column string) string {
	return SessionFilter{Sort: cmp.Or(f.Sort, "username")}.Sorted(column)
}

type UsersPage struct {
	Layout
	Filter        UserFilter
	Users         []UserRow
	MissingFactor int // how many must have a second factor and have none
	Pages         Pager
	MinLength     int
	New           UserRow // what was typed, when the form named by ErrorIn was wrong
	Error         string
	ErrorIn       string // add or invite
}

type UserPage struct {
	Layout
	UserRow
	Joined          time.Time
	PasswordChanged time.Time
	LastSuperuser   bool // may not be disabled, deleted or made ordinary
	Factors         Factors
	MinLength       int
	Error           string
	ErrorIn         string // details, groups, password, or delete
}

// Tokens.

type TokenRow struct {
	ID, UserID                    int64
	Identifier, User, Description string
	Scope                         string    // all, read, gate, or gate: and hosts
	Created, Expires              time.Time // a zero Expires is never
	LastUsed                      time.Time // to the minute; zero for never
	Expired                       bool
}

// Hosts are those of a scope that names some.
func (r TokenRow) Hosts() string {
	hosts, _ := strings.CutPrefix(r.Scope, "gate:")
	if hosts == r.Scope {
		return ""
	}
	return strings.ReplaceAll(hosts, ",", ", ")
}

type TokensPage struct {
	Layout
	All    bool // a superuser sees everybody's
	Tokens []TokenRow
	Users  []Choice // for whom a superuser may make one
	New    TokenRow
	Error  string
}

type TokenCreatedPage struct {
	Layout
	TokenRow
	Key       string // shown here and never again
	PublicURL string
}

// Events.

type EventRow struct {
	At     time.Time
	Kind   string        // good, bad, warning or ""
	What   template.HTML // who did what to whom, from [Pages.HTML]
	Device string
	Place  string
	IP     string
	URL    string // the session's page, if it still is there
}

type EventsPage struct {
	Layout
	All     bool
	History int
	Events  []EventRow
	Search  string
	Action  string
	Actions []Choice // their Text is an English key
	Pages   Pager
	Chart   *Chart
}

// Doctor and rules.

type Check struct {
	State string // good, warning or bad
	Name  string // an English key
	Found string // what was found, in words
	Do    string // what to change, "" when nothing
}

type DoctorPage struct {
	Layout
	Checks []Check
	At     time.Time
}

// Worst is the state of the worst check.
func (p DoctorPage) Worst() string {
	worst := "good"
	for _, c := range p.Checks {
		if c.State == "bad" || c.State == "warning" && worst == "good" {
			worst = c.State
		}
	}
	return worst
}

// Problems is how many checks are not good.
func (p DoctorPage) Problems() int {
	n := 0
	for _, c := range p.Checks {
		if c.State != "good" {
			n++
		}
	}
	return n
}

// OwnAlerts are those that somebody gets by mail.
type OwnAlerts struct {
	Mail  bool // they want them
	Types []Tick
}

// A Tick is a choice beside others that may be chosen too.
type Tick struct {
	Value  string
	Text   string // an English key
	Chosen bool
}

// A TargetRow is where alerts go.
type TargetRow struct {
	ID        string
	Name      string // "" when it cannot be read
	Set       bool   // in the settings
	Types     []Tick
	Problem   string // the last failure, unless something was sent since
	ProblemAt time.Time
}

// All reports whether a target gets everything.
func (r TargetRow) All() bool {
	return !slices.ContainsFunc(r.Types, func(t Tick) bool { return !t.Chosen })
}

// Chosen are those that a target gets.
func (r TargetRow) Chosen() []Tick {
	return slices.DeleteFunc(slices.Clone(r.Types), func(t Tick) bool { return !t.Chosen })
}

type AlertsPage struct {
	Layout
	Targets []TargetRow
	Types   []Tick // for a new one
	Mail    bool   // there is a mail server
	Error   string
}

type RuleRow struct {
	ID      int64
	Host    string
	Groups  []string // who may reach the host
	Path    string   // or, which path of it is open to all
	Methods string   // of an open path: those alone, separated by spaces; "" for all
}

type RulesPage struct {
	Layout
	Allowed, Open, Challenged []RuleRow

	Deny    bool     // without a rule nobody passes
	Groups  []string // those that exist, for completion
	New     RuleRow
	Error   string
	ErrorIn string // allow, open or challenge
}

// APIPage describes the API from its own document. Whoever is signed in can try
// what reads; the answer is on the page, so that it needs no script.
type APIPage struct {
	Layout
	Intro  string
	Groups []APIGroup
}

type APIGroup struct {
	Name, Description string
	Operations        []APICall
}

// APICall is an operation as the page shows it.
type APICall struct {
	ID, Method, Path, Summary, Description string

	Open       bool // needs no sign-in
	CanTry     bool
	Parameters []APIField
	Answers    []APIAnswer
	Curl       string
	Tried      *APITried
}

type APIField struct {
	Name, Kind, Description, Example, Value string

	Required bool
	Choices  []string
}

type APIAnswer struct{ Status, Description string }

// APITried is an answer that whoever looks asked for.
type APITried struct {
	Request string
	Status  int
	Body    string
}
