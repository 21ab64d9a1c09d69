//go:build integration

package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// cacheDirectory is where downloads are kept between runs.
func cacheDirectory() (string, error) {
	if dir := os.Getenv("PGWITNESS_TEST_CACHE"); dir != "" {
		return dir, nil
	}
	if os.Getuid() == 0 {
		return "/var/cache/pgwitness-test", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "pgwitness-test"), err
}

// Cached returns the cache's directory of that name, filled by fill if it is not there yet. Test processes that ask at
// the same time fill it once; one that is stopped in the middle leaves nothing that would be taken for complete.
func Cached(name string, fill func(dir string) error) (string, error) {
	root, err := cacheDirectory()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // complete, and perhaps another user's
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(root, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return "", err
	}
	if err := fill(part); err != nil {
		return "", err
	}
	return dir, os.Rename(part, dir)
}

// Maven runs mvn quietly.
func Maven(args ...string) error {
	path, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: mvn is not installed (Debian: apt-get install maven default-jre-headless)", errAbsent)
	}
	out, err := exec.Command(path, append([]string{"-q", "-B"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mvn %v: %w\n%s", args, err, lastLines(out, 20))
	}
	return nil
}
