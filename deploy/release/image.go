package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is who the program runs as in a container: a number that means nobody there.
const nobody = 65532

// image makes an OCI layout (https://github.com/opencontainers/image-spec) with an image
// for each architecture: the program, a data directory, and nothing else.
func (r *release) image() error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range []struct {
		binary   string
		platform v1.Platform
	}{
		{"lastseen-linux-amd64", v1.Platform{OS: "linux", Architecture: "amd64"}},
		{"lastseen-linux-arm64", v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}},
		{"lastseen-linux-armv7", v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
	} {
		program, err := os.ReadFile(filepath.Join(r.dist, p.binary))
		if err != nil {
			return err
		}
		img, err := r.imageOf(program, p.platform)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p.platform}})
	}
	folder, err := os.MkdirTemp("", "lastseen-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "lastseen:latest"})); err != nil {
		return err
	}
	return r.archive(folder, filepath.Join(r.dist, "lastseen-"+r.version+"-oci.tar"))
}

func (r *release) imageOf(program []byte, platform v1.Platform) (v1.Image, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Name: "lastseen", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg},
		{Name: "data/", Mode: 0o700, Uid: nobody, Gid: nobody, Typeflag: tar.TypeDir},
	} {
		h.ModTime, h.Format = r.time, tar.FormatPAX
		if err := t.WriteHeader(h); err != nil {
			return nil, err
		}
		if h.Size > 0 {
			if _, err := t.Write(program); err != nil {
				return nil, err
			}
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: r.time}, CreatedBy: "make release"}}); err != nil {
		return nil, err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Variant, c.Created = platform.OS, platform.Architecture, platform.Variant, v1.Time{Time: r.time}
	c.Config = v1.Config{
		User: "65532:65532", Env: []string{"LASTSEEN_DATA=/data", "LASTSEEN_LISTEN=:9000", "SQLITE_TMPDIR=/data"}, // there is no /tmp
		Entrypoint: []string{"/lastseen"}, Cmd: []string{"serve"},
		ExposedPorts: map[string]struct{}{"9000/tcp": {}}, Volumes: map[string]struct{}{"/data": {}},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/lastseen", "healthcheck"}, Interval: 30 * time.Second},
		Labels: map[string]string{"org.opencontainers.image.title": "lastseen", "org.opencontainers.image.version": r.version, "org.opencontainers.image.licenses": "MIT",
			"org.opencontainers.image.created": r.time.Format(time.RFC3339)},
	}
	return mutate.ConfigFile(img, c)
}

// archive packs a folder in the order of its names.
func (r *release) archive(folder, to string) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	t := tar.NewWriter(out)
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, ModTime: r.time, Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		if d.IsDir() {
			h.Name, h.Mode, h.Typeflag = h.Name+"/", 0o755, tar.TypeDir
			return t.WriteHeader(h)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h.Size = int64(len(content))
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		_, err = t.Write(content)
		return err
	})
	return errors.Join(err, t.Close(), out.Close())
}
