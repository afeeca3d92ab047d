// Package schema carries what is written down about data, embedded in the
// binary: the database's migrations and the description of the API.
package schema

import (
	"embed"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// SQLite holds sqlite/NNNN_title.up.sql and .down.sql. A file that has been
// released is never edited; the next change is the next number.
//
//go:embed sqlite/*.sql
var SQLite embed.FS

// Postgres holds postgres/NNNN_title.up.sql and .down.sql, in the same way. Its numbers
// are its own.
//
//go:embed postgres/*.sql
var Postgres embed.FS

// Latest is the number of the newest of a store's migrations.
func Latest(files fs.FS) int {
	latest := 0
	names, _ := fs.Glob(files, "*/*.up.sql")
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		n, _ := strconv.Atoi(number)
		latest = max(latest, n)
	}
	return latest
}

// OpenAPI describes the API, in OpenAPI 3.0.3 and YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte
