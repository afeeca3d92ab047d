package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"lastseen/app/alert"
	"lastseen/db"
)

// Config is what a person may set. It is filled by Parse, which checks
// it, and passed by value; the zero value of a field is safe or refused.
type Config struct {
	DataDir      string
	Database     string // "": SQLite in DataDir; else a URL of PostgreSQL, which may hold a password
	Listen       string
	PublicURL    *url.URL // without a path; nil until the listen address is known
	CookieDomain string   // "": the cookie is for the public URL's host alone
	CookieName   string   // of the session's cookie
	Apps         []string // hosts that the gate guards, exact or *.suffix, in ParseHost's form; none: those under the cookie domain
	GateDeny     bool     // without a rule nobody passes the gate
	RemoteUser   bool     // apps are told who asks in Authelia's headers too

	// TrustedProxies are the peers whose X-Forwarded-* we believe. Empty means nobody's.
	TrustedProxies []netip.Prefix

	SessionDuration time.Duration // absolute, from sign-in
	SessionIdle     time.Duration // 0: off
	History         time.Duration // how long ended sessions and events are kept

	BackupEvery time.Duration // 0: off
	BackupKeep  int           // how many backups are kept; at least one

	GeoIPCity, GeoIPASN string
	UserAgentRegexes    string // "": the definitions built in

	// RequireSecondFactor is who has to have one: none, superusers or everybody.
	RequireSecondFactor string

	// TrustDevices is for how long a second factor is not asked for again on a device whose
	// person says so. 0: it is asked for each time, whatever was said before.
	TrustDevices time.Duration

	HSTS bool // browsers are told to come over https alone

	LogFormat     string // text, json, or "" for what fits standard error
	LogDebug      bool
	MetricsListen string // "": off

	Alerts   []alert.Target // where alerts go, beside those that are stored
	Mail     *alert.Mailer  // nil: no mail is sent
	MailFrom string         // "": lastseen@ and the public URL's host

	BootstrapUsername, BootstrapPassword, BootstrapToken string

	// Given are the settings that are not the default, by their flags; a secret is "set".
	Given map[string]string
}

// A Setting is one thing that a person may set: by flag, by environment
// variable, by default, in this order.
type Setting struct {
	Flag    string // without dashes; "" for one that has no flag
	Env     string
	Default string
	Usage   string // a sentence, with what a value looks like in backquotes
	Secret  bool   // may also come from the file named by Env + "_FILE"
	set     func(c *Config, value string) error
}

// Settings are all there are, in the order of the help text.
var Settings = []Setting{
	{Flag: "data", Env: "LASTSEEN_DATA", Default: "./data", Usage: "keep everything in `DIR`, which is created with mode 0700", set: func(c *Config, v string) error {
		if v == "" {
			return errors.New("needs a directory")
		}
		c.DataDir = v
		return nil
	}},
	{Flag: "database", Env: "LASTSEEN_DATABASE", Secret: true, Usage: "keep sessions and users in PostgreSQL at `URL`, postgres://USER:PASSWORD@HOST:5432/NAME (default: SQLite in DATA)", set: setDatabase},
	{Flag: "listen", Env: "LASTSEEN_LISTEN", Default: "127.0.0.1:9000", Usage: "serve on `HOST:PORT`; port 0 picks a free one", set: func(c *Config, v string) error {
		c.Listen = v
		return checkListen(v)
	}},
	{Flag: "public-url", Env: "LASTSEEN_PUBLIC_URL", Usage: "browsers reach this at `URL`, such as https://auth.home.example (default: http:// and the listen address)", set: setPublicURL},
	{Flag: "cookie-domain", Env: "LASTSEEN_COOKIE_DOMAIN", Usage: "hosts under `DOMAIN`, such as home.example, share the sign-in (default: the public URL's host alone)", set: func(c *Config, v string) error {
		c.CookieDomain = strings.ToLower(strings.TrimPrefix(strings.TrimSuffix(v, "."), "."))
		if host, port, ok := ParseHost(c.CookieDomain); ok && port == "" {
			c.CookieDomain = host
		}
		return nil
	}},
	{Flag: "cookie-name", Env: "LASTSEEN_COOKIE_NAME", Default: "lastseen_session", Usage: "call the sign-in's cookie `NAME`; another where two instances share a host", set: setCookieName},
	{Flag: "apps", Env: "LASTSEEN_APPS", Usage: "guard `HOST,...`, names such as app.home.example or *.other.example, of any domain; those that the cookie domain does not hold get a cookie each (default: every host under the cookie domain)", set: setApps},
	{Flag: "gate-default", Env: "LASTSEEN_GATE_DEFAULT", Default: "allow", Usage: "where no rule names an app, `allow|deny` whoever is signed in", set: func(c *Config, v string) error {
		c.GateDeny = v == "deny"
		if v != "allow" && v != "deny" {
			return fmt.Errorf("must be allow or deny, is %q", v)
		}
		return nil
	}},
	{Flag: "identity-headers", Env: "LASTSEEN_IDENTITY_HEADERS", Default: "authentik", Usage: "tell apps who asks by the headers of `authentik|authelia`; authelia is both, Remote-User and its like beside X-authentik-username", set: func(c *Config, v string) error {
		c.RemoteUser = v == "authelia"
		if v != "authentik" && v != "authelia" {
			return fmt.Errorf("must be authentik or authelia, is %q", v)
		}
		return nil
	}},
	{Flag: "trusted-proxies", Env: "LASTSEEN_TRUSTED_PROXIES", Usage: "believe X-Forwarded-For from proxies in `CIDR,...` (default: from nobody)", set: setTrustedProxies},
	{Flag: "session-duration", Env: "LASTSEEN_SESSION_DURATION", Default: "14d", Usage: "end a session `DURATION` after its sign-in", set: positive(func(c *Config) *time.Duration { return &c.SessionDuration })},
	{Flag: "session-idle", Env: "LASTSEEN_SESSION_IDLE", Default: "0", Usage: "end a session unused for `DURATION`; 0 is never", set: orOff(func(c *Config) *time.Duration { return &c.SessionIdle })},
	{Flag: "history", Env: "LASTSEEN_HISTORY", Default: "90d", Usage: "keep ended sessions and events for `DURATION`", set: positive(func(c *Config) *time.Duration { return &c.History })},
	{Flag: "backup-every", Env: "LASTSEEN_BACKUP_EVERY", Default: "0", Usage: "write a backup to DATA/backups every `DURATION`; 0 is never", set: orOff(func(c *Config) *time.Duration { return &c.BackupEvery })},
	{Flag: "backup-keep", Env: "LASTSEEN_BACKUP_KEEP", Default: "7", Usage: "keep the newest `NUMBER` of those backups", set: func(c *Config, v string) error {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("must be a whole number from 1 to 65535, is %q", v)
		}
		c.BackupKeep = int(n)
		return nil
	}},
	{Flag: "require-second-factor", Env: "LASTSEEN_REQUIRE_SECOND_FACTOR", Default: "none", Usage: "ask `none|superusers|everybody` to set up a code or a passkey at the sign-in, and let them in only with one", set: func(c *Config, v string) error {
		c.RequireSecondFactor = v
		if v != "none" && v != "superusers" && v != "everybody" {
			return fmt.Errorf("must be none, superusers or everybody, is %q", v)
		}
		return nil
	}},
	{Flag: "trust-devices", Env: "LASTSEEN_TRUST_DEVICES", Default: "30d", Usage: "offer not to ask for a second factor on a device again for `DURATION`; 0 asks at each sign-in", set: orOff(func(c *Config) *time.Duration { return &c.TrustDevices })},
	{Flag: "geoip-city", Env: "LASTSEEN_GEOIP_CITY", Usage: "look places up in the MaxMind DB `FILE` (default: DATA/geoip/GeoLite2-City.mmdb)", set: text(func(c *Config) *string { return &c.GeoIPCity })},
	{Flag: "geoip-asn", Env: "LASTSEEN_GEOIP_ASN", Usage: "look networks up in the MaxMind DB `FILE` (default: DATA/geoip/GeoLite2-ASN.mmdb)", set: text(func(c *Config) *string { return &c.GeoIPASN })},
	{Flag: "user-agent-regexes", Env: "LASTSEEN_USER_AGENT_REGEXES", Usage: "parse user agents by `FILE`, a newer regexes.yaml of uap-core (default: the definitions built in)", set: readable(func(c *Config) *string { return &c.UserAgentRegexes })},
	{Flag: "log-format", Env: "LASTSEEN_LOG_FORMAT", Usage: "write the log as `text|json` (default: text on a terminal, else json)", set: func(c *Config, v string) error {
		c.LogFormat = v
		if v != "" && v != "text" && v != "json" {
			return fmt.Errorf("must be text or json, is %q", v)
		}
		return nil
	}},
	{Flag: "hsts", Env: "LASTSEEN_HSTS", Default: "on", Usage: "where the public URL is https, tell browsers to come over nothing else, for a year: `on|off`", set: func(c *Config, v string) error {
		c.HSTS = v == "on"
		if v != "on" && v != "off" {
			return fmt.Errorf("must be on or off, is %q", v)
		}
		return nil
	}},
	{Flag: "log-level", Env: "LASTSEEN_LOG_LEVEL", Default: "info", Usage: "log `info|debug`; debug adds a line for every request that only reads", set: func(c *Config, v string) error {
		c.LogDebug = v == "debug"
		if v != "info" && v != "debug" {
			return fmt.Errorf("must be info or debug, is %q", v)
		}
		return nil
	}},
	{Flag: "metrics-listen", Env: "LASTSEEN_METRICS_LISTEN", Usage: "serve Prometheus metrics at /metrics on `HOST:PORT` (default: off)", set: func(c *Config, v string) error {
		c.MetricsListen = v
		if v == "" {
			return nil
		}
		return checkListen(v)
	}},
	{Flag: "alerts", Env: "LASTSEEN_ALERTS", Secret: true, Usage: "tell `URL,...` of what people want to know, beside the targets that are added by page or command: webhook+https://…, ntfy://HOST/TOPIC, gotify://HOST/TOKEN, mailto:ADDRESS", set: setAlerts},
	{Flag: "smtp", Env: "LASTSEEN_SMTP", Secret: true, Usage: "send mail through `URL`: smtp://USER:PASSWORD@HOST:587 with STARTTLS, or smtps://…:465 (default: no mail)", set: func(c *Config, v string) (err error) {
		if v != "" {
			c.Mail, err = alert.NewMailer(v)
		}
		return err
	}},
	{Flag: "mail-from", Env: "LASTSEEN_MAIL_FROM", Usage: "mail comes from `ADDRESS`, such as lastseen@home.example (default: lastseen@ and the public URL's host)", set: func(c *Config, v string) error {
		if c.MailFrom = v; v == "" {
			return nil
		}
		return alert.CheckSender(v)
	}},
	{Env: "LASTSEEN_BOOTSTRAP_USERNAME", Default: "admin", Usage: "name of the first superuser, made only while there is no user", set: func(c *Config, v string) error {
		c.BootstrapUsername = v
		return db.CheckUsername(v)
	}},
	{Env: "LASTSEEN_BOOTSTRAP_PASSWORD", Secret: true, Usage: "the first superuser's password", set: func(c *Config, v string) error {
		c.BootstrapPassword = v
		if v == "" {
			return nil
		}
		return db.CheckPassword(v)
	}},
	{Env: "LASTSEEN_BOOTSTRAP_TOKEN", Secret: true, Usage: "an API key for the first superuser; 20 characters or more", set: func(c *Config, v string) error {
		c.BootstrapToken = v
		if v != "" && (len(v) < 20 || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })) {
			return errors.New("must be 20 characters or more, without spaces, plain ASCII")
		}
		return nil
	}},
}

// Name is how messages call the setting.
func (s Setting) Name() string {
	if s.Flag != "" {
		return "--" + s.Flag
	}
	return s.Env
}

// Parse reads every setting through given, which returns a flag's value,
// and through environment. The error tells everything that is wrong, one line each.
func Parse(flag func(name string) (string, bool), environment func(name string) (string, bool)) (Config, error) {
	c := Config{Given: map[string]string{}}
	var errs []error
	badURL := false
	for _, s := range Settings {
		value, from, err := s.value(flag, environment)
		if err == nil {
			err = s.set(&c, value)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", from, err))
			badURL = badURL || s.Flag == "public-url"
		}
		if s.Flag != "" && value != s.Default {
			if s.Secret {
				value = "set"
			}
			c.Given[s.Flag] = value
		}
	}
	c.GeoIPCity = cmp.Or(c.GeoIPCity, filepath.Join(c.DataDir, "geoip", "GeoLite2-City.mmdb"))
	c.GeoIPASN = cmp.Or(c.GeoIPASN, filepath.Join(c.DataDir, "geoip", "GeoLite2-ASN.mmdb"))
	if !badURL { // of which these speak too
		errs = append(errs, c.checkTogether())
	}
	return c, errors.Join(errs...)
}

// value finds what was given for the setting and the name it was given under.
// An empty environment variable counts as not given.
func (s Setting) value(flag, environment func(string) (string, bool)) (value, from string, err error) {
	if s.Flag != "" {
		if v, ok := flag(s.Flag); ok {
			return v, s.Name(), nil
		}
	}
	v, _ := environment(s.Env)
	if !s.Secret {
		return cmp.Or(v, s.Default), cmp.Or(s.envIfSet(v), s.Name()), nil
	}
	file, _ := environment(s.Env + "_FILE")
	switch {
	case file == "":
		return v, s.Env, nil
	case v != "":
		return "", s.Env + "_FILE", fmt.Errorf("give either this or %s", s.Env)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", s.Env + "_FILE", err
	}
	defer f.Close()
	v, err = ReadSecret(f)
	return v, s.Env + "_FILE", err
}

// ReadSecret reads a secret on a line of its own. What Windows writes before a text,
// a mark of its encoding, is no part of it, and UTF-16 is read as well.
func ReadSecret(r io.Reader) (string, error) {
	text := transform.NewReader(io.LimitReader(r, 64<<10), unicode.BOMOverride(transform.Nop))
	content, err := io.ReadAll(text)
	return strings.TrimRight(string(content), "\r\n"), err
}

func (s Setting) envIfSet(v string) string {
	if v == "" {
		return ""
	}
	return s.Env
}

// checkTogether looks at settings that only make sense with one another.
func (c Config) checkTogether() error {
	var token error
	if c.BootstrapToken != "" && c.BootstrapPassword == "" {
		token = errors.New("LASTSEEN_BOOTSTRAP_TOKEN: needs LASTSEEN_BOOTSTRAP_PASSWORD too, the token is for that user")
	}
	var backup error
	if c.Database != "" && c.BackupEvery > 0 {
		backup = errors.New("--backup-every: copies an SQLite database; PostgreSQL is backed up by its own means, such as pg_dump")
	}
	return errors.Join(token, backup, c.checkCookie(), c.checkMail())
}

// UnknownVariables are the LASTSEEN_* variables that name no setting, each with
// the nearest name that does, or "".
func UnknownVariables(environ []string) (unknown [][2]string) {
	const prefix = "LASTSEEN_" // which makes nothing near
	var known []string
	for _, s := range Settings {
		known = append(known, strings.TrimPrefix(s.Env, prefix))
		if s.Secret {
			known = append(known, strings.TrimPrefix(s.Env, prefix)+"_FILE")
		}
	}
	for _, entry := range environ {
		variable, _, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(variable, prefix)
		if !ours || slices.Contains(known, name) || strings.HasPrefix(name, "TEST") {
			continue
		}
		nearest := Nearest(name, known)
		if nearest != "" {
			nearest = prefix + nearest
		}
		unknown = append(unknown, [2]string{variable, nearest})
	}
	slices.SortFunc(unknown, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return unknown
}

// Nearest is the known name that somebody may have meant, or "". A slip is seldom in the
// first letter: there it is another word, as remove is beside move.
func Nearest(name string, known []string) string {
	nearest := ""
	for _, k := range known {
		if d := distance(name, k); strings.HasPrefix(name, k[:1]) && d <= (len(name)+1)/3 && (nearest == "" || d < distance(name, nearest)) {
			nearest = k
		}
	}
	return nearest
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// ParseDuration reads 90s, 15m, 12h, 30d, or several after one another: 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	var total time.Duration
	rest := text
	if days, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: write 90s, 15m, 12h or 30d", text)
		}
		total, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" || text == "" {
		d, err := time.ParseDuration(rest)
		if total += d; err != nil || d < 0 || total < 0 { // the sum wraps around after 292 years
			return 0, fmt.Errorf("%q is no duration: write 90s, 15m, 12h or 30d", text)
		}
	}
	return total, nil
}

func positive(field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := ParseDuration(v)
		if err == nil && d < time.Second {
			err = fmt.Errorf("must be at least 1s, is %q", v)
		}
		*field(c) = d
		return err
	}
}

// orOff reads a duration too, and 0 for off.
func orOff(field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		if v == "0" {
			*field(c) = 0
			return nil
		}
		return positive(field)(c, v)
	}
}

// readable is a file that is there and may be read, or "".
func readable(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		*field(c) = value
		if value == "" {
			return nil
		}
		f, err := os.Open(value)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

func checkListen(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("must be HOST:PORT, such as 127.0.0.1:9000 or :9000, is %q", v)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port must be a number up to 65535, is %q", port)
	}
	return nil
}

func setDatabase(c *Config, v string) error {
	c.Database = v
	if v == "" {
		return nil
	}
	return CheckDatabase(v)
}

// CheckDatabase says what is wrong with the URL of a database, and nothing of what it was
// given, which may hold a password.
func CheckDatabase(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return errors.New("must be a URL such as postgres://USER:PASSWORD@HOST:5432/NAME, in which what is special of user and password is percent-encoded")
	}
	// Otherwise a part of the password would be taken for the host or the name, which errors show.
	if at := strings.Count(v, "@"); at > 1 || at == 1 && u.User == nil {
		return errors.New("has one @, before the host: write %40 for any other, and %2F, %3F and %23 for / ? # in the password")
	}
	return nil
}

func setPublicURL(c *Config, v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil {
		return fmt.Errorf("is no URL: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return fmt.Errorf("must begin with http:// or https:// and a host, is %q", v)
	case u.User != nil, u.RawQuery != "", u.Fragment != "", u.Path != "" && u.Path != "/":
		return fmt.Errorf("must be scheme and host alone, such as https://auth.home.example, is %q", u.Redacted())
	}
	host, ok := canonicalHost(u)
	if !ok {
		return fmt.Errorf("%q is neither a host name nor an address", u.Host)
	}
	c.PublicURL = &url.URL{Scheme: u.Scheme, Host: host}
	return nil
}

// canonicalHost is a URL's host in the form that is compared, without the port
// that its scheme implies.
func canonicalHost(u *url.URL) (string, bool) {
	host, port, ok := ParseHost(u.Host)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		return host, ok
	}
	return host + ":" + port, ok
}

// otherCookies are what the names of cookies begin with that we set besides, and, __, that
// browsers treat in a way of their own.
var otherCookies = []string{"__", "lastseen_app", "lastseen_state", "lastseen_said", "lastseen_returns", "lastseen_device"}

const cookieLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

func setCookieName(c *Config, v string) error {
	c.CookieName = v
	if v == "" || len(v) > 64 || strings.Trim(v, cookieLetters) != "" {
		return fmt.Errorf("must be letters, digits, dots, dashes and underscores, at most 64 of them, is %q", v)
	}
	begins := func(with string) bool { return strings.HasPrefix(strings.ToLower(v), with) }
	if slices.ContainsFunc(otherCookies, begins) || strings.EqualFold(v, "theme") || strings.EqualFold(v, "lang") {
		return fmt.Errorf("%q is for other cookies, use another name", v)
	}
	return nil
}

func setApps(c *Config, v string) error {
	var errs []error
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		suffix, wild := strings.CutPrefix(part, "*.")
		host, port, ok := ParseHost(suffix)
		switch {
		case !ok || port != "":
			errs = append(errs, fmt.Errorf("%q must be a host without scheme, port and path, such as app.home.example, or *.home.example for all below it", part))
		case wild && !isLocal("."+host):
			if err := checkDomainSuffix(host); err != nil {
				errs = append(errs, fmt.Errorf("%q: anybody may have a host under %s: name a domain of your own below it", part, host))
			}
		}
		if wild {
			host = "*." + host
		}
		c.Apps = append(c.Apps, host)
	}
	return errors.Join(errs...)
}

func setTrustedProxies(c *Config, v string) error {
	var errs []error
	for _, part := range strings.Split(v, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, addrErr := netip.ParseAddr(part)
			if addrErr != nil || addr.Zone() != "" {
				errs = append(errs, fmt.Errorf("%q is neither an address nor a CIDR", part))
				continue
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if a := prefix.Addr(); a.Is4In6() {
			if prefix.Bits() < 96 {
				errs = append(errs, fmt.Errorf("%q: write it as an IPv4 CIDR", part))
				continue
			}
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		if prefix.Bits() == 0 {
			errs = append(errs, fmt.Errorf("%q would believe everybody, so that anyone could choose their address: name your proxies", part))
			continue
		}
		c.TrustedProxies = append(c.TrustedProxies, prefix.Masked())
	}
	return errors.Join(errs...)
}

// checkCookie refuses what makes browsers drop the cookie, or loop.
func (c Config) checkCookie() error {
	domain := c.CookieDomain
	if domain == "" {
		return nil
	}
	if _, err := netip.ParseAddr(domain); err == nil {
		return fmt.Errorf("--cookie-domain: %s is an address, browsers accept only names: leave it empty", domain)
	}
	if strings.ContainsAny(domain, ":/@ ") {
		return fmt.Errorf("--cookie-domain: %q must be a bare domain, without scheme, port or path", domain)
	}
	if host, _, ok := ParseHost(domain); !ok || host != domain {
		return fmt.Errorf("--cookie-domain: %q is no domain name", domain)
	}
	if err := checkDomainSuffix(domain); err != nil {
		return fmt.Errorf("--cookie-domain: %w", err)
	}
	if c.PublicURL == nil {
		return fmt.Errorf("--cookie-domain: needs --public-url, with a host under %s", domain)
	}
	if host := c.PublicURL.Hostname(); host != domain && !strings.HasSuffix(host, "."+domain) {
		return fmt.Errorf("--cookie-domain: the public URL's host %s is not under %s, so browsers would refuse the cookie", host, domain)
	}
	return nil
}
