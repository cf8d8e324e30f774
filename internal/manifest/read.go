package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxFileBytes bounds one file.
const MaxFileBytes = 10 << 20

// stdinName stands for standard input in a list of files.
const stdinName = "-"

// Read reads the objects of files, of folders (every .yaml, .yml and .json file
// below them, in the order of their names, hidden ones left out) and of standard
// input ("-"). Either all is well, or the error, an [Error], holds every fault
// of every file.
func Read(paths []string, stdin io.Reader) ([]Object, error) {
	var objects []Object
	var faults []Fault
	seen := map[string]bool{}
	for _, path := range paths {
		files, err := expand(path)
		if err != nil {
			faults = append(faults, fileFault(path, err))
			continue
		}
		for _, file := range files {
			if seen[filepath.Clean(file)] { // named twice, or named and found in its folder
				continue
			}
			seen[filepath.Clean(file)] = true
			data, err := readFile(file, stdin)
			if err != nil {
				faults = append(faults, fileFault(file, err))
				continue
			}
			read, wrong := Parse(file, data)
			objects = append(objects, read...)
			faults = append(faults, wrong...)
		}
	}
	if len(faults) == 0 && len(objects) == 0 {
		faults = append(faults, Fault{File: strings.Join(paths, ", "), Message: "there is no object: an object starts with its kind, such as \"kind: Service\""})
	}
	if len(faults) > 0 {
		return nil, &Error{Faults: faults}
	}
	return objects, nil
}

// expand gives the files that path stands for.
func expand(path string) ([]string, error) {
	if path == stdinName {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && file != path
		switch {
		case hidden && entry.IsDir():
			return filepath.SkipDir
		case hidden || entry.IsDir():
			return nil
		}
		if slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(file))) {
			files = append(files, file)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = errors.New("the folder has no .yaml, .yml or .json file")
	}
	return files, err
}

func readFile(file string, stdin io.Reader) ([]byte, error) {
	source := stdin
	if file != stdinName {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		source = f
	}
	data, err := io.ReadAll(io.LimitReader(source, MaxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("is longer than %d MiB, which is the most that is read: split it", MaxFileBytes>>20)
	}
	return data, nil
}

// fileFault leaves out the path that the system's errors repeat.
func fileFault(file string, err error) Fault {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return Fault{File: file, Message: err.Error()}
}
