// Gen makes the sample databases from their table: run it by `go generate` in
// the folder above.
package main

import (
	"bytes"
	"fmt"
	"os"

	"lastseen/geoip/sample"
	"lastseen/geoip/sample/build"
)

func main() {
	networks, err := sample.Networks()
	if err != nil {
		fail(err)
	}
	for name, make := range map[string]func([]sample.Network, *bytes.Buffer) error{"city.mmdb": build.City, "asn.mmdb": build.ASN} {
		var b bytes.Buffer
		if err := make(networks, &b); err != nil {
			fail(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
