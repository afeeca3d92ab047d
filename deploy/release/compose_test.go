package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// The compose files are what compose's own reader takes, schema and all, with the domain's
// name set in one place.
func TestComposeFiles(t *testing.T) {
	files, err := filepath.Glob("../compose*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, file := range files {
		options, err := cli.NewProjectOptions([]string{file}, cli.WithName("lastseen"), cli.WithEnv([]string{"DOMAIN=lastseen.test"}))
		if err != nil {
			t.Fatal(err)
		}
		project, err := options.LoadProject(t.Context())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		all, err := project.MarshalYAML()
		if err != nil {
			t.Fatal(err)
		}
		if text := string(all); strings.Contains(text, "home.example") || !strings.Contains(text, "https://auth.lastseen.test") {
			t.Errorf("%s: the domain is not set everywhere: %s", file, text)
		}
		for name, service := range project.Services {
			if public := len(service.Ports) > 0; public != (name == "caddy" || name == "traefik") {
				t.Errorf("%s: %s can be reached from outside: %v", file, name, public)
			}
		}
	}
}
