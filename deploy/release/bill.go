package main

import (
	"debug/buildinfo"
	"errors"
	"os"
	"path/filepath"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bill writes which modules are linked, as CycloneDX (https://cyclonedx.org/), from what
// the program itself says.
func (r *release) bill() error {
	info, err := buildinfo.ReadFile(filepath.Join(r.dist, "lastseen-linux-amd64"))
	if err != nil {
		return err
	}
	b := cdx.NewBOM()
	main := cdx.Component{BOMRef: "pkg:golang/lastseen@" + r.version, Type: cdx.ComponentTypeApplication, Name: "lastseen", Version: r.version}
	b.Metadata = &cdx.Metadata{Timestamp: r.time.Format(time.RFC3339), Component: &main}
	components := []cdx.Component{{BOMRef: "pkg:golang/std@" + info.GoVersion, Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: "pkg:golang/std@" + info.GoVersion}}
	refs := []string{components[0].BOMRef}
	for _, m := range info.Deps {
		url := "pkg:golang/" + m.Path + "@" + m.Version
		components = append(components, cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url})
		refs = append(refs, url)
	}
	b.Components, b.Dependencies = &components, &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	out, err := os.Create(filepath.Join(r.dist, "lastseen-"+r.version+".cdx.json"))
	if err != nil {
		return err
	}
	return errors.Join(cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(b), out.Close())
}
