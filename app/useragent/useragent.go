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
	"strings"
	"sync"
	"unicode/utf8"

	uap "github.com/ua-parser/uap-go/uaparser"
	"gopkg.in/yaml.v3"
)

// An Agent is what the definitions say of one User-Agent header. Every field is
// a string: "" when there is no such part, family "Other" when it is unknown.
type Agent struct {
	Kind                                              string // a Kind constant
	Browser, BrowserMajor, BrowserMinor, BrowserPatch string
	OS, OSMajor, OSMinor, OSPatch, OSPatchMinor       string
	Device, DeviceBrand, DeviceModel                  string
}

// MaxLength is how many bytes of a header are kept and looked at.
const MaxLength = 1024

// Clean is a header in the form that is parsed and stored: invalid UTF-8
// replaced by U+FFFD, cut to MaxLength bytes at a character.
func Clean(header string) string {
	// Cut first: replacing may triple what is replaced.
	if len(header) > MaxLength {
		header = header[:cut(header, MaxLength)]
	}
	header = strings.ToValidUTF8(header, "\uFFFD")
	return header[:cut(header, MaxLength)]
}

// cut is the longest length up to n that splits no character of s.
func cut(s string, n int) int {
	if len(s) <= n {
		return len(s)
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return n
}

// A Parser holds one set of definitions. It may be used by any number of
// goroutines at once.
//
// uap-go compiles all 1,200 expressions at start and scans through them for
// each header. Here an expression is compiled when it is first tried, and tried
// only if the header holds a literal that every match of it must contain; the
// first that matches still wins, and uap-go still says what a match means.
type Parser struct {
	version string
	rules   func() *rules
}

// rules are the definitions in the order in which they are tried.
type rules struct {
	literals []string // in lower case; a rule names them by index
	browsers []rule[uap.UserAgent]
	systems  []rule[uap.Os]
	devices  []rule[uap.Device]
}

type rule[T any] struct {
	needs   [][]int32 // sets of indexes of literals; of each set one must be there
	compile func()
	match   func(line string, into *T)
}

// New uses the definitions that are built into uap-go. It returns at once: the
// first Parse reads them, which takes some tens of milliseconds.
func New() (*Parser, error) {
	return newParser(uap.DefinitionYaml, func() (*uap.RegexDefinitions, error) { return read(uap.DefinitionYaml) }), nil
}

// Load uses the definitions of a uap-core regexes.yaml. The error names the
// file and what is wrong with it: all expressions are tried out.
func Load(path string) (*Parser, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	definitions, err := read(content)
	if err == nil {
		err = check(definitions)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no usable regexes.yaml of uap-core: %w", path, err)
	}
	return newParser(content, func() (*uap.RegexDefinitions, error) { return definitions, nil }), nil
}

func newParser(content []byte, definitions func() (*uap.RegexDefinitions, error)) *Parser {
	sum := sha256.Sum256(append([]byte(kindVersion), content...))
	return &Parser{
		version: hex.EncodeToString(sum[:8]),
		rules: sync.OnceValue(func() *rules {
			d, err := definitions()
			if err != nil {
				panic(err) // uap-go's own definitions, which a test reads
			}
			return newRules(d)
		}),
	}
}

func read(content []byte) (*uap.RegexDefinitions, error) {
	var d uap.RegexDefinitions
	if err := yaml.Unmarshal(content, &d); err != nil {
		return nil, err
	}
	if len(d.UA) == 0 || len(d.OS) == 0 || len(d.Device) == 0 {
		return nil, errors.New("it must have user_agent_parsers, os_parsers and device_parsers")
	}
	return &d, nil
}

// check compiles every expression and drops the result.
func check(d *uap.RegexDefinitions) error {
	var errs []error
	try := func(section string, i int, flags, expr string) {
		if _, err := regexp.Compile(withFlags(flags, expr)); err != nil || expr == "" {
			errs = append(errs, fmt.Errorf("%s, number %d: %q does not compile: %w", section, i+1, expr, err))
		}
	}
	for i, e := range d.UA {
		try("user_agent_parsers", i, e.Flags, e.Expr)
	}
	for i, e := range d.OS {
		try("os_parsers", i, e.Flags, e.Expr)
	}
	for i, e := range d.Device {
		try("device_parsers", i, e.Flags, e.Expr)
	}
	return errors.Join(errs...)
}

func withFlags(flags, expr string) string {
	if flags == "" {
		return expr
	}
	return "(?" + flags + ")" + expr
}

// Version names the definitions, and our rules for Kind: what was parsed by
// another version may be parsed anew.
func (p *Parser) Version() string { return p.version }

// Parse says what a header names. Long headers are parsed as Clean cuts them.
func (p *Parser) Parse(header string) Agent {
	header = Clean(header)
	r := p.rules()
	f := finder{text: fold(header), literals: r.literals, found: make([]int8, len(r.literals))}
	var browser uap.UserAgent
	var system uap.Os
	var device uap.Device
	if !first(r.browsers, &f, header, &browser, &browser.Family) {
		browser.Family = "Other"
	}
	if !first(r.systems, &f, header, &system, &system.Family) {
		system.Family = "Other"
	}
	if !first(r.devices, &f, header, &device, &device.Family) {
		device.Family = "Other"
	}
	a := Agent{
		Browser: browser.Family, BrowserMajor: browser.Major, BrowserMinor: browser.Minor, BrowserPatch: browser.Patch,
		OS: system.Family, OSMajor: system.Major, OSMinor: system.Minor, OSPatch: system.Patch, OSPatchMinor: system.PatchMinor,
		Device: device.Family, DeviceBrand: device.Brand, DeviceModel: device.Model,
	}
	a.Kind = kind(header, a)
	return a
}

// first tries the rules until one gives a family.
func first[T any](rules []rule[T], f *finder, line string, into *T, family *string) bool {
	for i := range rules {
		if r := &rules[i]; f.all(r.needs) {
			r.compile()
			if r.match(line, into); *family != "" {
				return true
			}
		}
	}
	return false
}

// newRules prepares the definitions as uap-go's own constructor does, but for
// compiling.
func newRules(d *uap.RegexDefinitions) *rules {
	var r rules
	index := map[string]int32{}
	needs := func(flags, expr string) [][]int32 {
		var sets [][]int32
		for _, set := range required(withFlags(flags, expr)) {
			var ids []int32
			for _, literal := range set {
				id, ok := index[literal]
				if !ok {
					id = int32(len(r.literals))
					index[literal] = id
					r.literals = append(r.literals, literal)
				}
				ids = append(ids, id)
			}
			sets = append(sets, ids)
		}
		return sets
	}
	standard := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	for _, e := range d.UA {
		standard(&e.FamilyReplacement, "$1")
		standard(&e.V1Replacement, "$2")
		standard(&e.V2Replacement, "$3")
		standard(&e.V3Replacement, "$4")
		r.browsers = append(r.browsers, rule[uap.UserAgent]{needs(e.Flags, e.Expr), once(e.Flags, e.Expr, &e.Reg), e.Match})
	}
	for _, e := range d.OS {
		standard(&e.OSReplacement, "$1")
		standard(&e.V1Replacement, "$2")
		standard(&e.V2Replacement, "$3")
		standard(&e.V3Replacement, "$4")
		standard(&e.V4Replacement, "$5")
		r.systems = append(r.systems, rule[uap.Os]{needs(e.Flags, e.Expr), once(e.Flags, e.Expr, &e.Reg), e.Match})
	}
	for _, e := range d.Device {
		standard(&e.DeviceReplacement, "$1")
		standard(&e.ModelReplacement, "$1")
		r.devices = append(r.devices, rule[uap.Device]{needs(e.Flags, e.Expr), once(e.Flags, e.Expr, &e.Reg), e.Match})
	}
	return &r
}

func once(flags, expr string, into **regexp.Regexp) func() {
	return sync.OnceFunc(func() { *into = regexp.MustCompile(withFlags(flags, expr)) })
}
