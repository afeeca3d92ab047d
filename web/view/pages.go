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
		all = append(all, languageChoice{w.code, w.name(), w.code == current})
	}
	return all
}

// Msg marks an English text in Go code that a page will say in its reader's language,
// for the test that looks for untranslated ones.
func Msg(key string) string { return key }

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

// Pager is where a list stands. Its zero value shows nothing.
type Pager struct {
	Page, Pages    int
	First, Last    int // the numbers of the rows shown
	Total          int
	Previous, Next string // addresses, "" at the ends
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

// People.

type ProfilePage struct {
	Layout
	Username, Name, Email string
	Groups                []string
	Joined                time.Time
	PasswordChanged       time.Time
	MinLength             int
	NoPassword            bool
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
	MustChange            bool      // somebody else set the password, and they choose another at the next sign-in
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

// LinkRow is a link that nobody has used yet.
type LinkRow struct {
	ID        int64
	Reset     bool
	Username  string // "" where an invitation leaves it open
	Superuser bool
	Groups    []string
	MadeBy    string
	Expires   time.Time
}

type UsersPage struct {
	Layout
	Filter        UserFilter
	Users         []UserRow
	Links         []LinkRow // that nobody has used yet
	MissingFactor int       // how many must have a second factor and have none
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
	NoPassword      bool
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
	Checks    []Check
	At        time.Time
	OwnBackup bool // the database is backed up by its own means
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
