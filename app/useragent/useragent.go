// Package useragent says what device, system and browser a User-Agent header
// names, by the definitions of uap-core, through uap-go.
package useragent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	uap "github.com/ua-parser/uap-go/uaparser"
	"gopkg.in/yaml.v3"
)

// An Agent is what the definitions say of one User-Agent header. Every field is
// a string: "" when there is no such part, family "Other" when it is unknown.
type Agent struct {
	Kind                                              string // Phone, Tablet ... or Unknown, by rules of our own
	Browser, BrowserMajor, BrowserMinor, BrowserPatch string
	OS, OSMajor, OSMinor, OSPatch, OSPatchMinor       string
	Device, DeviceBrand, DeviceModel                  string
}

// maxLength is how many bytes of a header are kept.
const maxLength = 1024

// Clean gives a header the form in which it is stored and parsed: invalid UTF-8
// replaced by U+FFFD, then cut to at most maxLength bytes at a character.
func Clean(header string) string {
	s := strings.ToValidUTF8(header, "\uFFFD")
	if len(s) <= maxLength {
		return s
	}
	n := maxLength
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) // or what is kept of it would hold all of a long header
}

// A Parser holds one set of definitions. Any number of goroutines may use it.
//
// uap-go compiles all 1,200 expressions at start and tries one after the other.
// A Parser tries, in the same order, only those whose literals the header holds
// (see index), and compiles an expression when it is first tried. What a match
// means is left to uap-go, so the answers are the same. It remembers no answers:
// the database keeps one for each header.
type Parser struct {
	version string
	rules   func() *rules
}

// New uses the definitions that are built into uap-go. It returns at once, and the
// first Parse waits for them to be read (some 20 ms): a command that parses nothing
// need not read them. The error is nil.
func New() (*Parser, error) {
	return &Parser{version(uap.DefinitionYaml), sync.OnceValue(func() *rules {
		d, err := read(uap.DefinitionYaml)
		if err != nil {
			panic(fmt.Sprintf("definitions built into uap-go: %v", err)) // any test of Parse would see it
		}
		return newRules(d)
	})}, nil
}

// Load uses the definitions of a file: the regexes.yaml of
// https://github.com/ua-parser/uap-core in whatever version. It compiles every
// expression once, so that none can fail later. Its error names the file, the
// section and number of each expression that does not compile, and what to do.
func Load(path string) (*Parser, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d, err := read(content)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w; give the regexes.yaml of https://github.com/ua-parser/uap-core, or no file for the definitions built in", path, err)
	}
	r := newRules(d)
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%s cannot be used until these are corrected or removed:\n%w", path, err)
	}
	return &Parser{version(content), func() *rules { return r }}, nil
}

// Version names the definitions together with our rules for Kind: 16 hexadecimal
// digits to store beside an Agent, which may be parsed anew when they differ.
func (p *Parser) Version() string { return p.version }

func version(definitions []byte) string {
	h := sha256.New()
	fmt.Fprintln(h, kindVersion)
	h.Write(definitions)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Parse says what a header names, after Clean. It takes some 0.05 ms, and up to 1 ms
// more for each expression that it is the first to try.
func (p *Parser) Parse(ua string) Agent {
	ua = Clean(ua)
	folded := fold(ua)
	r := p.rules()
	found := r.index.find(folded)
	var browser uap.UserAgent
	if !first(r.browsers, found, ua, &browser, &browser.Family) {
		browser.Family = "Other"
	}
	var system uap.Os
	if !first(r.systems, found, ua, &system, &system.Family) {
		system.Family = "Other"
	}
	var device uap.Device
	if !first(r.devices, found, ua, &device, &device.Family) {
		device.Family = "Other"
	}
	a := Agent{
		Browser: browser.Family, BrowserMajor: browser.Major, BrowserMinor: browser.Minor, BrowserPatch: browser.Patch,
		OS: system.Family, OSMajor: system.Major, OSMinor: system.Minor, OSPatch: system.Patch, OSPatchMinor: system.PatchMinor,
		Device: device.Family, DeviceBrand: device.Brand, DeviceModel: device.Model,
	}
	a.Kind = kind(ua, folded, a)
	return a
}

// rules are the definitions in the order in which they are tried.
type rules struct {
	index    index
	browsers []*rule[uap.UserAgent]
	systems  []*rule[uap.Os]
	devices  []*rule[uap.Device]
}

type rule[T any] struct {
	needs   []int // sets of the index, of each of which a match holds a literal
	expr    string
	once    sync.Once
	reg     **regexp.Regexp // where matcher expects expr, compiled
	matcher matcher[T]
}

// A matcher is an entry of uap-go's definitions, whose type it does not export.
type matcher[T any] interface {
	Match(line string, into *T)
}

// first tries rules until one gives a family.
func first[T any](rules []*rule[T], found []bool, line string, into *T, family *string) bool {
	for _, r := range rules {
		if !all(found, r.needs) {
			continue
		}
		r.once.Do(func() { *r.reg = regexp.MustCompile(r.expr) })
		if r.matcher.Match(line, into); *family != "" {
			return true
		}
	}
	return false
}

func all(found []bool, sets []int) bool {
	for _, set := range sets {
		if !found[set] {
			return false
		}
	}
	return true
}

func read(content []byte) (*uap.RegexDefinitions, error) {
	var d uap.RegexDefinitions
	if err := yaml.Unmarshal(content, &d); err != nil {
		return nil, err
	}
	if len(d.UA) == 0 || len(d.OS) == 0 || len(d.Device) == 0 {
		return nil, errors.New("it lacks user_agent_parsers, os_parsers or device_parsers")
	}
	if slices.Contains(d.UA, nil) || slices.Contains(d.OS, nil) || slices.Contains(d.Device, nil) {
		return nil, errors.New("it has an entry with nothing in it")
	}
	return &d, nil
}

// newRules prepares definitions as uap-go's constructor does, except that nothing
// is compiled: a part without a replacement is the group of its number.
func newRules(d *uap.RegexDefinitions) *rules {
	var r rules
	for _, e := range d.UA {
		fill(&e.FamilyReplacement, "$1")
		fill(&e.V1Replacement, "$2")
		fill(&e.V2Replacement, "$3")
		fill(&e.V3Replacement, "$4")
		r.browsers = append(r.browsers, newRule(&r.index, e.Flags, e.Expr, &e.Reg, e))
	}
	for _, e := range d.OS {
		fill(&e.OSReplacement, "$1")
		fill(&e.V1Replacement, "$2")
		fill(&e.V2Replacement, "$3")
		fill(&e.V3Replacement, "$4")
		fill(&e.V4Replacement, "$5")
		r.systems = append(r.systems, newRule(&r.index, e.Flags, e.Expr, &e.Reg, e))
	}
	for _, e := range d.Device {
		fill(&e.DeviceReplacement, "$1")
		fill(&e.ModelReplacement, "$1")
		r.devices = append(r.devices, newRule(&r.index, e.Flags, e.Expr, &e.Reg, e))
	}
	return &r
}

func fill(field *string, standard string) {
	if *field == "" {
		*field = standard
	}
}

func newRule[T any](ix *index, flags, expr string, reg **regexp.Regexp, m matcher[T]) *rule[T] {
	if flags != "" {
		expr = "(?" + flags + ")" + expr
	}
	return &rule[T]{needs: ix.add(required(expr)), expr: expr, reg: reg, matcher: m}
}

// check compiles every expression and keeps none.
func (r *rules) check() error {
	return errors.Join(check("user_agent_parsers", r.browsers), check("os_parsers", r.systems), check("device_parsers", r.devices))
}

func check[T any](section string, rules []*rule[T]) error {
	var errs []error
	for i, r := range rules {
		if r.expr == "" {
			errs = append(errs, fmt.Errorf("%s, number %d: it has no regex", section, i+1))
		} else if _, err := regexp.Compile(r.expr); err != nil {
			errs = append(errs, fmt.Errorf("%s, number %d: %w", section, i+1, err))
		}
	}
	return errors.Join(errs...)
}
