package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// servedFile is where a server tells the commands beside it how it was started.
func servedFile(dataDir string) string { return filepath.Join(dataDir, "settings.json") }

// KeepServed keeps what a server was given, without secrets, and its address, for commands
// beside it, until the function that it returns is called.
func (c Config) KeepServed() (forget func(), err error) {
	given := map[string]string{}
	for flag, value := range c.Given {
		if path, isFile := map[string]string{"geoip-city": c.GeoIPCity, "geoip-asn": c.GeoIPASN, "user-agent-regexes": c.UserAgentRegexes}[flag]; isFile {
			if value, err = filepath.Abs(path); err != nil { // the doctor may be called elsewhere
				return nil, err
			}
		}
		given[flag] = value
	}
	if c.PublicURL != nil {
		given["public-url"] = c.PublicURL.String()
	}
	content, err := json.MarshalIndent(given, "", "  ")
	if err != nil {
		return nil, err
	}
	path := servedFile(c.DataDir)
	return func() { os.Remove(path) }, os.WriteFile(path, append(content, '\n'), 0o600)
}

// AsServed is c with the settings of the server that runs on its data directory, or last
// did without ending well. What given knows counts all the same, and secrets are the
// environment's; hidden are the flags of those that only the server has.
// It is c itself where no server has kept any.
func (c Config) AsServed(given, environment func(string) (string, bool)) (_ Config, found bool, hidden []string, err error) {
	content, err := os.ReadFile(servedFile(c.DataDir))
	if errors.Is(err, os.ErrNotExist) {
		return c, false, nil, nil
	}
	if err != nil {
		return c, false, nil, err
	}
	var kept map[string]string
	if err := json.Unmarshal(content, &kept); err != nil {
		return c, false, nil, nil // half of one, of a server that is starting
	}
	secret, standard := map[string]bool{}, map[string]string{}
	for _, s := range Settings {
		secret[s.Flag], standard[s.Flag] = s.Secret, s.Default
	}
	served, err := Parse(func(name string) (string, bool) {
		if v, ok := given(name); ok || secret[name] {
			return v, ok
		}
		if name == "data" {
			return c.DataDir, true
		}
		if v, ok := kept[name]; ok {
			return v, true
		}
		return standard[name], true
	}, environment)
	for name := range kept {
		if secret[name] && served.Given[name] == "" {
			hidden = append(hidden, name)
		}
	}
	return served, true, hidden, err
}
