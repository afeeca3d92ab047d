package useragent

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	uap "github.com/ua-parser/uap-go/uaparser"
	"gopkg.in/yaml.v3"
)

var builtIn = sync.OnceValue(func() *Parser {
	p, err := New()
	if err != nil {
		panic(err)
	}
	return p
})

// plain is uap-go as it comes.
var plain = sync.OnceValue(func() *uap.Parser {
	p, err := uap.New()
	if err != nil {
		panic(err)
	}
	return p
})

func parsePlain(p *uap.Parser, header string) Agent {
	c := p.Parse(header)
	return Agent{
		Browser: c.UserAgent.Family, BrowserMajor: c.UserAgent.Major, BrowserMinor: c.UserAgent.Minor, BrowserPatch: c.UserAgent.Patch,
		OS: c.Os.Family, OSMajor: c.Os.Major, OSMinor: c.Os.Minor, OSPatch: c.Os.Patch, OSPatchMinor: c.Os.PatchMinor,
		Device: c.Device.Family, DeviceBrand: c.Device.Brand, DeviceModel: c.Device.Model,
	}
}

var known = []struct {
	header string
	want   Agent
}{
	{"", Agent{Kind: Unknown, Browser: "Other", OS: "Other", Device: "Other"}},
	{"nonsense", Agent{Kind: Unknown, Browser: "Other", OS: "Other", Device: "Other"}},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Agent{Kind: Desktop, Browser: "Firefox", BrowserMajor: "140", BrowserMinor: "0", OS: "Linux", Device: "Other"}},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
		Agent{Kind: Desktop, Browser: "Chrome", BrowserMajor: "138", BrowserMinor: "0", BrowserPatch: "0", OS: "Windows", OSMajor: "10", Device: "Other"}},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		Agent{Kind: Phone, Browser: "Mobile Safari", BrowserMajor: "18", BrowserMinor: "5", OS: "iOS", OSMajor: "18", OSMinor: "5", Device: "iPhone", DeviceBrand: "Apple", DeviceModel: "iPhone"}},
	{"Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
		Agent{Kind: Tablet, Browser: "Mobile Safari", BrowserMajor: "17", BrowserMinor: "4", OS: "iOS", OSMajor: "17", OSMinor: "4", Device: "iPad", DeviceBrand: "Apple", DeviceModel: "iPad"}},
	{"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
		Agent{Kind: Phone, Browser: "Chrome Mobile", BrowserMajor: "138", BrowserMinor: "0", BrowserPatch: "0", OS: "Android", OSMajor: "14", Device: "Pixel 8", DeviceBrand: "Google", DeviceModel: "Pixel 8"}},
	{"curl/8.14.1", Agent{Kind: Script, Browser: "curl", BrowserMajor: "8", BrowserMinor: "14", BrowserPatch: "1", OS: "Other", Device: "Other"}},
}

func TestParse(t *testing.T) {
	for _, tt := range known {
		if got := builtIn().Parse(tt.header); got != tt.want {
			t.Errorf("%q:\ngot  %+v\nwant %+v", tt.header, got, tt.want)
		}
	}
}

func TestKind(t *testing.T) {
	for header, want := range map[string]string{
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                              Bot,
		"Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36":          TV,
		"Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36":    TV,
		"Mozilla/5.0 (PlayStation 5 6.50) AppleWebKit/605.1.15 (KHTML, like Gecko)":                                             Console,
		"Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36":        Tablet,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15": Desktop,
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36":        Desktop,
		"python-requests/2.32.3": Script,
		"Go-http-client/2.0":     Script,
		"Wget/1.24.5":            Script,
	} {
		if got := builtIn().Parse(header).Kind; got != want {
			t.Errorf("%s: got %s, want %s", header, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "curl/8", "curl/8"},
		{"invalid", "a\xffb", "a\uFFFDb"},
		{"NUL stays", "a\x00b", "a\x00b"},
		{"long", strings.Repeat("x", 1<<20), strings.Repeat("x", 1024)},
		{"within a character", strings.Repeat("x", 1023) + "é", strings.Repeat("x", 1023)},
		{"at a character", strings.Repeat("x", 1022) + "é", strings.Repeat("x", 1022) + "é"},
		{"all invalid", strings.Repeat("\xff", 2000), "\uFFFD"},
	} {
		if got := Clean(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\xff" + strings.Repeat("é", 600))
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if len(got) > MaxLength || !utf8.ValidString(got) || Clean(got) != got {
			t.Fatalf("%q: got %q", s, got)
		}
		if utf8.ValidString(s) && !strings.HasPrefix(s, got) {
			t.Fatalf("%q: got %q, which is no beginning of it", s, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, k := range known {
		f.Add(k.header)
	}
	f.Add("mozilla/5.0 (\u212Aindle; ſafari) ANDROID mobile Build/X")
	f.Fuzz(func(t *testing.T, header string) {
		header = Clean(header)
		got, want := builtIn().Parse(header), parsePlain(plain(), header)
		got.Kind = ""
		if got != want {
			t.Fatalf("%q:\ngot  %+v\nwant %+v", header, got, want)
		}
	})
}

// Letters that fold to ASCII must not hide a literal.
func TestFold(t *testing.T) {
	p, err := Load(write(t, `user_agent_parsers:
  - {regex: '(kelvin scale)', regex_flag: 'i'}
os_parsers:
  - {regex: '(?i)(longs)'}
device_parsers:
  - {regex: '(never)'}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := p.Parse("\u212AELVIN \u017FCALE LONG\u017F")
	if got.Browser != "\u212AELVIN \u017FCALE" || got.OS != "LONG\u017F" || got.Device != "Other" {
		t.Errorf("got %+v", got)
	}
}

func write(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "regexes.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadRefuses(t *testing.T) {
	for name, content := range map[string]string{
		"no YAML":          "\t{",
		"another file":     "a: b",
		"a bad expression": "user_agent_parsers: [{regex: '('}]\nos_parsers: [{regex: x}]\ndevice_parsers: [{regex: x}]",
	} {
		path := write(t, content)
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
	}
	if _, err := Load("/nowhere/regexes.yaml"); err == nil {
		t.Error("a missing file was loaded")
	}
}

func TestVersionFollowsTheDefinitions(t *testing.T) {
	yaml := "user_agent_parsers: [{regex: x}]\nos_parsers: [{regex: x}]\ndevice_parsers: [{regex: x}]\n"
	a, err := Load(write(t, yaml))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(write(t, yaml+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Version() == b.Version() || a.Version() == builtIn().Version() || a.Version() == "" {
		t.Errorf("versions: %q, %q, %q", a.Version(), b.Version(), builtIn().Version())
	}
}

func TestParseConcurrently(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for _, tt := range known {
				if got := p.Parse(tt.header); got != tt.want {
					t.Errorf("%q: got %+v", tt.header, got)
				}
			}
		})
	}
	wait.Wait()
}

// testdata is a folder with uap-core's definitions and cases, which are not
// part of this project.
func testdata(t *testing.T) string {
	dir := os.Getenv("LASTSEEN_TESTDATA")
	if dir == "" {
		t.Skip("LASTSEEN_TESTDATA names no folder with uap-core's definitions and cases")
	}
	return filepath.Join(dir, "uap-core")
}

func readCases(t *testing.T, path string) []map[string]string {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []map[string]any `yaml:"test_cases"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	var cases []map[string]string
	for _, c := range file.Cases {
		texts := map[string]string{}
		for k, v := range c {
			if s, ok := v.(string); ok {
				texts[k] = s
			}
		}
		cases = append(cases, texts)
	}
	return cases
}

// All of uap-core's cases, with its definitions; and with those built in, the
// same answers as plain uap-go.
func TestUAPCore(t *testing.T) {
	dir := testdata(t)
	p, err := Load(filepath.Join(dir, "regexes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for file, got := range map[string]func(Agent) map[string]string{
		"test_ua.yaml": func(a Agent) map[string]string {
			return map[string]string{"family": a.Browser, "major": a.BrowserMajor, "minor": a.BrowserMinor, "patch": a.BrowserPatch}
		},
		"test_os.yaml": func(a Agent) map[string]string {
			return map[string]string{"family": a.OS, "major": a.OSMajor, "minor": a.OSMinor, "patch": a.OSPatch, "patch_minor": a.OSPatchMinor}
		},
		"test_device.yaml": func(a Agent) map[string]string {
			return map[string]string{"family": a.Device, "brand": a.DeviceBrand, "model": a.DeviceModel}
		},
	} {
		for i, c := range readCases(t, filepath.Join(dir, file)) {
			cases++
			for part, value := range got(p.Parse(c["user_agent_string"])) {
				if want := c[part]; value != want {
					t.Errorf("%s, %q, %s: got %q, want %q", file, c["user_agent_string"], part, value, want)
				}
			}
			if i%7 == 0 || !testing.Short() && i%2 == 0 { // plain uap-go is slow
				a, want := builtIn().Parse(c["user_agent_string"]), parsePlain(plain(), Clean(c["user_agent_string"]))
				a.Kind = ""
				if a != want {
					t.Errorf("%q with the definitions built in:\ngot  %+v\nwant %+v", c["user_agent_string"], a, want)
				}
			}
		}
	}
	if cases < 18000 {
		t.Errorf("only %d cases", cases)
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, err := New()
		if err != nil {
			b.Fatal(err)
		}
		p.rules()
	}
}

func BenchmarkParse(b *testing.B) {
	for i := range known {
		builtIn().Parse(known[i].header)
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			builtIn().Parse(known[2+i%6].header)
		}
	})
	uncached, err := uap.New(uap.WithCacheSize(1))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("uap-go", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			parsePlain(uncached, known[2+i%6].header)
		}
	})
}
