// Package schema carries the database's migrations, embedded in the binary.
package schema

import "embed"

// SQLite holds sqlite/NNNN_title.up.sql and .down.sql. A file that has been
// released is never edited; the next change is the next number.
//
//go:embed sqlite/*.sql
var SQLite embed.FS
