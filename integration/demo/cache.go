package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// PostgreSQL's archive is kept in the user's cache directory and copied in and out of the demo's own, because the user who
// unpacks it may not be the one who keeps it.

func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	return filepath.Join(base, "pgwitness-demo"), err
}

// fromCache copies what the cache has into dir and says whether it had this version.
func fromCache(dir string) (bool, error) {
	cache, err := cacheDir()
	if err != nil {
		return false, nil // no home, no cache: downloaded each time
	}
	kept, err := archivesIn(cache)
	if err != nil || len(kept) == 0 {
		return false, err
	}
	for _, from := range kept {
		if _, err := copyFile(filepath.Join(dir, filepath.Base(from)), from, 0o644); err != nil {
			return false, err
		}
	}
	return true, nil
}

// toCache keeps what dir has. Failing costs the next run a download and is only said.
func toCache(dir string) {
	cache, err := cacheDir()
	if err == nil {
		err = os.MkdirAll(cache, 0o755)
	}
	if err != nil {
		say("(the download is not kept: %v)", err)
		return
	}
	fresh, _ := archivesIn(dir)
	for _, from := range fresh {
		if _, err := copyFile(filepath.Join(cache, filepath.Base(from)), from, 0o644); err != nil {
			say("(the download is not kept: %v)", err)
		}
	}
}

func archivesIn(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, fmt.Sprintf("*-%s.txz", postgresVersion)))
}

// copyFile writes to beside its place first: a copy that was cut short must not be taken for the file.
func copyFile(to, from string, mode os.FileMode) (string, error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(to+".part", data, mode); err != nil {
		return "", err
	}
	if err := os.Chmod(to+".part", mode); err != nil { // whatever the umask
		return "", err
	}
	return to, os.Rename(to+".part", to)
}

// chownAll gives dir and all below to who, unless that is nil.
func chownAll(dir string, who *syscall.Credential) error {
	if who == nil {
		return nil
	}
	return filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(who.Uid), int(who.Gid))
	})
}
