package kubetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Image is what the containers of a [Node] are started from, made of files of
// this machine: no registry is asked for it.
type Image struct {
	Name       string            // as pods name it, e.g. "heddle.test/app:1"
	Files      map[string]string // path in the image to file; the libraries that programs are linked with come by themselves
	Links      map[string]string // path in the image to what it leads to
	Entrypoint []string
	User       string // e.g. "65532:65532"; root without one
}

// The parts of an image layout of the Open Container Initiative.
type (
	descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int64             `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	manifest struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}
	index struct {
		SchemaVersion int          `json:"schemaVersion"`
		Manifests     []descriptor `json:"manifests"`
	}
	configuration struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
		Config       struct {
			Env        []string `json:"Env"`
			User       string   `json:"User,omitempty"`
			Entrypoint []string `json:"Entrypoint,omitempty"`
		} `json:"config"`
		RootFS struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
)

// writeImages makes a file that `ctr images import` takes.
func writeImages(file string, images []Image) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	layout := tar.NewWriter(out)
	var all index
	all.SchemaVersion = 2
	for _, one := range images {
		written, err := one.write(layout)
		if err != nil {
			return fmt.Errorf("make image %s: %w", one.Name, err)
		}
		all.Manifests = append(all.Manifests, written)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := add(layout, "index.json", text); err != nil {
		return err
	}
	if err := add(layout, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return layout.Close()
}

// write puts the image's layer, configuration and manifest into a layout.
func (image Image) write(layout *tar.Writer) (descriptor, error) {
	layer, err := image.layer()
	if err != nil {
		return descriptor{}, err
	}
	var config configuration
	config.Architecture, config.OS = runtime.GOARCH, "linux"
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	config.Config.User, config.Config.Entrypoint = image.User, image.Entrypoint
	first, err := blob(layout, "application/vnd.oci.image.layer.v1.tar", layer)
	if err != nil {
		return descriptor{}, err
	}
	config.RootFS.Type, config.RootFS.DiffIDs = "layers", []string{first.Digest}
	second, err := object(layout, "application/vnd.oci.image.config.v1+json", config)
	if err != nil {
		return descriptor{}, err
	}
	const kind = "application/vnd.oci.image.manifest.v1+json"
	made, err := object(layout, kind, manifest{SchemaVersion: 2, MediaType: kind, Config: second, Layers: []descriptor{first}})
	made.Annotations = map[string]string{"io.containerd.image.name": image.Name}
	return made, err
}

// layer is the image's files as a tar archive.
func (image Image) layer() ([]byte, error) {
	files := maps.Clone(image.Files)
	for _, file := range image.Files {
		libraries, err := librariesOf(file)
		if err != nil {
			return nil, err
		}
		for _, library := range libraries {
			files[library] = library
		}
	}
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		content, err := os.ReadFile(files[path])
		if err != nil {
			return nil, err
		}
		if err := add(archive, strings.TrimPrefix(path, "/"), content); err != nil {
			return nil, err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(image.Links)) {
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: strings.TrimPrefix(path, "/"), Linkname: image.Links[path], Mode: 0o777})
		if err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return buffer.Bytes(), err
}

// librariesOf lists what a program is linked with, as ldd says; nothing for a
// file that is no program or needs none.
func librariesOf(file string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ldd", file).CombinedOutput()
	if err != nil {
		if bytes.Contains(out, []byte("not a dynamic executable")) {
			return nil, nil
		}
		return nil, fmt.Errorf("ldd %s: %w: %s", file, err, out)
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				all = append(all, word)
			}
		}
	}
	return all, nil
}

func object(layout *tar.Writer, kind string, content any) (descriptor, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return descriptor{}, err
	}
	return blob(layout, kind, text)
}

func blob(layout *tar.Writer, kind string, content []byte) (descriptor, error) {
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	return descriptor{MediaType: kind, Digest: "sha256:" + sum, Size: int64(len(content))}, add(layout, "blobs/sha256/"+sum, content)
}

// add writes a file that all may run.
func add(archive *tar.Writer, name string, content []byte) error {
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := io.Copy(archive, bytes.NewReader(content))
	return err
}
