package web

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"lastseen/app"
	"lastseen/db"
	"lastseen/geoip"
	"lastseen/geoip/countries"
	"lastseen/web/view"

	"github.com/gin-gonic/gin"
	"golang.org/x/text/unicode/norm"
)

// placeName is what a place is called in a language: "London, United Kingdom".
func placeName(lang string, p *geoip.Place) string {
	if p == nil {
		return ""
	}
	country := countries.Name(lang, p.Country)
	if p.City == country { // Singapore
		return country
	}
	return strings.Trim(p.City+", "+country, ", ")
}

// mark says of sessions and records which devices they are on, and which are their account's
// first from a country.
func (s *Server) mark(ctx context.Context, sessions []app.Session, records []app.Record) error {
	var all []*app.Session
	for i := range sessions {
		all = append(all, &sessions[i])
	}
	all = append(all, recorded(records)...)
	return errors.Join(s.app.MarkDevices(ctx, all...), s.app.MarkFirst(ctx, all...))
}

// recorded are the sessions of records.
func recorded(records []app.Record) []*app.Session {
	all := make([]*app.Session, len(records))
	for i := range records {
		all[i] = &records[i].Session
	}
	return all
}

// dictionary is a text as dictionaries order it: without regard to case and marks.
func dictionary(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(strings.ToLower(text)))
}

// placeKeys sort by country, then city, as they are called in a language; the unknown last.
func placeKeys(lang string) func(app.Record) string {
	keys := map[*geoip.Place]string{nil: "~"}
	return func(r app.Record) string {
		p := r.Location.Place
		key, ok := keys[p]
		if !ok {
			key = dictionary(countries.Name(lang, p.Country) + "\x00" + p.City)
			keys[p] = key
		}
		return key
	}
}

// networkName is what a network is called, "" for none: its AS number where it has no name.
func networkName(n *geoip.Network) string {
	if n == nil || n.Org == "" && n.ASN == 0 {
		return ""
	}
	return cmp.Or(n.Org, asName(n.ASN))
}

func asName(asn uint32) string { return "AS" + strconv.Itoa(int(asn)) }

// networkFilter is a filter's value; links used to have the bare AS number.
func networkFilter(value string) string {
	if _, err := strconv.ParseUint(value, 10, 32); err == nil {
		return "AS" + value
	}
	return value
}

// filterArea reports whether an area is in the country and the network of a filter.
func filterArea(f view.SessionFilter) func(app.Area) bool {
	return func(area app.Area) bool {
		return (f.Country == "" || area.Country == f.Country) &&
			(f.Network == "" || area.Org == f.Network || asName(area.ASN) == f.Network)
	}
}

// words are those of a search, each with the addresses whose place or network has it, in
// the words of a page in a language, and those that are within it.
func (s *Server) words(ctx context.Context, lang, search string, state db.State) ([]db.Word, error) {
	var words []db.Word
	var filters []app.AddressFilter
	texts := map[app.Area]string{} // looked at for each word
	for _, text := range pageWords(search) {
		if header, ok := inHeaders[strings.ToLower(text)]; ok {
			words = append(words, db.Word{Text: header})
		} else {
			words = append(words, db.Word{Text: text})
		}
		word := dictionary(text)
		if utf8.RuneCountInString(word) < shortWord {
			word = " " + word + " "
		}
		filters = append(filters, app.AddressFilter{Within: prefix(text), Area: func(area app.Area) bool {
			shown, ok := texts[area]
			if !ok {
				shown = s.areaText(lang, area)
				texts[area] = shown
			}
			return strings.Contains(shown, word) || area.ASN != 0 && strings.TrimPrefix(word, "as") == strconv.Itoa(int(area.ASN))
		}})
	}
	if len(words) == 0 {
		return nil, nil
	}
	found, err := s.app.Addresses(ctx, state, filters...)
	for i := range found {
		words[i].IPs = found[i]
	}
	return words, err
}

// inHeaders are the words of user agents for systems that the pages call otherwise.
var inHeaders = map[string]string{"macos": "Macintosh", "chromeos": "CrOS"}

// shortWord is from how many characters on a word is looked for within those of places and
// networks: shorter ones are in most, and mean none of them.
const shortWord = 3

// areaText is what a page says of an area in a language, and its country in English, with
// its words between spaces, in a form in which words are found.
func (s *Server) areaText(lang string, area app.Area) string {
	scope := ""
	switch area.Scope {
	case geoip.Public:
	case geoip.Carrier:
		scope = s.pages.Text(lang, "Carrier network (shared address)")
	default:
		scope = s.pages.Text(lang, "Local network")
	}
	text := []string{"", area.City, countries.Name(lang, area.Country), countries.Name("en", area.Country), area.Org, scope, ""}
	return dictionary(strings.Join(text, " "))
}

// prefix is the network that a word is, or the address; invalid for every other word.
func prefix(word string) netip.Prefix {
	if p, err := netip.ParsePrefix(word); err == nil {
		return p.Masked()
	}
	if ip, err := netip.ParseAddr(word); err == nil {
		ip = canonicalAddr(ip)
		return netip.PrefixFrom(ip, ip.BitLen())
	}
	return netip.Prefix{}
}

// choices are the countries and networks that the list can be narrowed to, each once, in
// the order of their names.
func choices(lang string, found []app.Record, f view.SessionFilter) (inCountries, inNetworks []view.Choice) {
	codes, names := map[string]string{}, map[string]string{}
	for _, r := range found {
		if p := r.Location.Place; p != nil && p.Country != "" {
			codes[p.Country] = countries.Name(lang, p.Country)
		}
		if name := networkName(r.Location.Network); name != "" {
			names[name] = name
		}
		if n := r.Location.Network; n != nil && n.Org != "" && f.Network == asName(n.ASN) { // one of several, perhaps
			names[f.Network] = n.Org + " (" + f.Network + ")"
		}
	}
	if f.Country != "" {
		codes[f.Country] = countries.Name(lang, f.Country)
	}
	if f.Network != "" && names[f.Network] == "" {
		names[f.Network] = f.Network
	}
	list := func(values map[string]string) []view.Choice {
		var all []view.Choice
		for value, text := range values {
			all = append(all, view.Choice{Value: value, Text: text})
		}
		slices.SortFunc(all, func(a, b view.Choice) int {
			return cmp.Or(cmp.Compare(dictionary(a.Text), dictionary(b.Text)), cmp.Compare(a.Value, b.Value))
		})
		return all
	}
	return list(codes), list(names)
}

// maxUsernames is how many names are offered where one is typed.
const maxUsernames = 200

// usernames are everybody's, where they are few.
func (s *Server) usernames(c *gin.Context) ([]string, error) {
	users, total, err := s.app.Users(c.Request.Context(), caller(c), db.UserFilter{Limit: maxUsernames})
	if err != nil || total > maxUsernames {
		return nil, err
	}
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.Username
	}
	return names, nil
}
