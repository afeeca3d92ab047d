//go:build ignore

// This program makes names.csv from the Unicode CLDR (https://cldr.unicode.org), which
// the npm package cldr-localenames-full carries as JSON:
//
//	npm pack cldr-localenames-full && tar xzf cldr-localenames-full-48.2.0.tgz
//	go run geoip/countries/generate.go package/main en de fr es > geoip/countries/names.csv
//
// A column is one more argument. What is no country or territory is left out; a few have
// the CLDR's short name, since a person is in "Hong Kong" and not in "Hong Kong SAR
// China".
package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
)

// short are the codes that have the CLDR's short name.
var short = map[string]bool{"HK": true, "MO": true, "PS": true}

// others are codes that are no place to be: the EU, the euro area, the UN, an unknown
// region, and those that test software.
var others = map[string]bool{"EU": true, "EZ": true, "UN": true, "ZZ": true, "QO": true, "XA": true, "XB": true}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: go run geoip/countries/generate.go package/main en [LANGUAGE...] > geoip/countries/names.csv")
	}
	languages := os.Args[2:]
	names := make([]map[string]string, len(languages))
	for i, language := range languages {
		names[i] = read(os.Args[1], language)
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "# Made by generate.go from the Unicode CLDR, Copyright © 2004-2026 Unicode, Inc.,")
	fmt.Fprintln(out, "# under the Unicode License V3 in LICENSE. Edit that program, not this.")
	w := csv.NewWriter(out)
	write(w, append([]string{"code"}, languages...))
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			if names[0][code] == "" || others[code] {
				continue
			}
			row := []string{code}
			for i, language := range languages {
				if names[i][code] == "" {
					log.Fatalf("%s has no name in %s", code, language)
				}
				row = append(row, names[i][code])
			}
			write(w, row)
		}
	}
	w.Flush()
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

func write(w *csv.Writer, row []string) {
	if err := w.Write(row); err != nil {
		log.Fatal(err)
	}
}

// read is the names of a language by their codes.
func read(dir, language string) map[string]string {
	data, err := os.ReadFile(filepath.Join(dir, language, "territories.json"))
	if err != nil {
		log.Fatal(err)
	}
	var file struct {
		Main map[string]struct {
			LocaleDisplayNames struct{ Territories map[string]string }
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		log.Fatal(err)
	}
	all, names := file.Main[language].LocaleDisplayNames.Territories, map[string]string{}
	two := regexp.MustCompile(`^[A-Z]{2}$`)
	for code, name := range all {
		if two.MatchString(code) {
			names[code] = name
			if s := all[code+"-alt-short"]; short[code] && s != "" {
				names[code] = s
			}
		}
	}
	return names
}
