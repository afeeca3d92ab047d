// Package countries names countries and territories in the languages of the pages.
// golang.org/x/text/language/display would add 2.3 MB to the program, and its names are
// of 2017, when Eswatini was Swaziland; these are 12 KB.
package countries

import (
	_ "embed"
	"encoding/csv"
	"slices"
	"strings"
	"sync"
)

//go:embed names.csv
var file string

// names are by code and then by language, as the file has them.
var names = sync.OnceValue(func() map[string][]string {
	r := csv.NewReader(strings.NewReader(file))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		panic(err) // it is embedded, and a test reads it
	}
	all := map[string][]string{}
	for _, row := range rows {
		all[row[0]] = row[1:]
	}
	return all
})

// Name is what a country, by its two capital letters, is called in a language such as
// "de": in English where we have no names in that language, and its code where it has no
// name, as with one that the maker of a database made up.
func Name(language, code string) string {
	row, ok := names()[code]
	if !ok || code == head {
		return code
	}
	return row[max(0, slices.Index(names()[head], language))] // English comes first
}

// head is what the first row has in place of a code.
const head = "code"
