package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// A DebianRoot is a folder with unpacked packages of a Debian release, to run programs in
// with chroot(8). No script of a package has run in it: users, groups and configuration are
// up to the test.
type DebianRoot struct {
	Dir      string
	Release  string
	Versions map[string]string // by package, "4.98.2-1+deb13u6"
}

// Bounds of getting packages.
const (
	aptTimeout   = 4 * time.Minute // of all calls for one root
	unpackAtOnce = 2
)

// aptConf is the configuration of apt: nothing of the system's but how to reach the network.
// An empty status file makes apt fetch every dependency.
const aptConf = `%[2]s
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "%[1]s/state";
Dir::State::lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s";
Dir::Cache::archives "%[1]s/archives";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
`

// sources returns the sources of a release: the mirrors from which this machine's own apt has
// Debian, with the main archive first.
func sources(ctx context.Context, release string) (string, error) {
	out, err := exec.CommandContext(ctx, path("apt-get"), "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages", "Component: main").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	var main, security string
	for line := range strings.Lines(string(out)) {
		site, suite, _ := strings.Cut(strings.TrimSpace(line), " ")
		site = strings.TrimSuffix(site, "/")
		switch {
		case strings.HasSuffix(site, "/debian-security") && security == "":
			security = site
		case strings.HasSuffix(site, "/debian") && !strings.Contains(suite, "-") && main == "":
			main = site
		}
	}
	if main == "" {
		return "", errors.New("the sources of apt on this machine have no mirror of Debian")
	}
	const line = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n"
	text := fmt.Sprintf(line, main, release)
	if security != "" {
		text += fmt.Sprintf(line, security, release+"-security")
	}
	return text, nil
}

// unneeded are the beginnings of names of packages that are dependencies, and that no test
// runs: maintainer scripts, cron jobs and the init system use them.
var unneeded = []string{"perl", "libperl", "libfile-fcntllock-perl", "systemd", "libsystemd-shared", "cron", "debconf", "adduser", "passwd", "login", "mount", "libpam-"}

// NewDebianRoot unpacks packages of a release ("trixie") with all they depend on into a
// folder that is removed when the test ends. The packages are fetched by apt, which verifies
// the signatures of the release, and kept in the user's cache folder. Where the packages
// cannot be had the test is skipped, or fails if [RequireEnv] is set.
func NewDebianRoot(tb testing.TB, release string, packages ...string) *DebianRoot {
	tb.Helper()
	Require(tb, "apt-get", "apt-config", "dpkg-deb", "tar", "chroot")
	dir := Dir(tb)
	r := &DebianRoot{Dir: filepath.Join(dir, release), Release: release, Versions: map[string]string{}}
	files, err := r.fetch(tb.Context(), dir, packages)
	if err != nil {
		lack(tb, fmt.Sprintf("packages of Debian %s: %v", release, err))
	}
	if err := r.unpack(tb.Context(), files); err != nil {
		tb.Fatal(err)
	}
	if err := r.furnish(); err != nil {
		lack(tb, fmt.Sprintf("device files for chroot: %v", err))
	}
	return r
}

// fetch returns the .deb files of the packages and of what they depend on.
func (r *DebianRoot) fetch(ctx context.Context, dir string, packages []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, aptTimeout)
	defer cancel()
	if cache, err := os.UserCacheDir(); err == nil {
		dir = cache
	}
	a := apt{dir: filepath.Join(dir, "mxauth-peers", r.Release)}
	done, err := a.open(ctx, r.Release)
	if err != nil {
		return nil, err
	}
	defer done()
	if files, err := a.install(ctx, r.Versions, packages); err == nil {
		return files, nil
	}
	// There are no lists of packages yet, or they name versions that are gone.
	if _, err := a.run(ctx, "update", "--error-on=any"); err != nil {
		return nil, err
	}
	return a.install(ctx, r.Versions, packages)
}

// An apt runs apt-get with a configuration and folders of its own.
type apt struct {
	dir string
}

// open writes the configuration, and holds a lock until done is called: the test binaries of
// several checkouts share the folder.
func (a apt) open(ctx context.Context, release string) (done func(), err error) {
	for _, d := range []string{"/lists/partial", "/state", "/archives/partial"} {
		if err := os.MkdirAll(a.dir+d, 0o755); err != nil {
			return nil, err
		}
	}
	lock, err := os.Create(a.dir + "/lock-of-tests")
	if err != nil {
		return nil, err
	}
	done = func() { lock.Close() }
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		done()
		return nil, err
	}
	list, err := sources(ctx, release)
	if err != nil {
		done()
		return nil, err
	}
	network, err := exec.CommandContext(ctx, path("apt-config"), "dump", "--format", `%F "%v";%n`, "Acquire").Output()
	err = errors.Join(err,
		os.WriteFile(a.dir+"/apt.conf", fmt.Appendf(nil, aptConf, a.dir, network), 0o644),
		os.WriteFile(a.dir+"/sources.list", []byte(list), 0o644),
		os.WriteFile(a.dir+"/status", nil, 0o644),
	)
	if err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// run runs apt-get and returns what it prints.
func (a apt) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path("apt-get"), append([]string{"-q", "-y"}, args...)...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.dir+"/apt.conf", "LC_ALL=C")
	cmd.WaitDelay = stopTimeout
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
	}
	return string(out), err
}

// chosen is a line of a simulated installation: "Inst libcap2 (1:2.75-10 Debian:13.5/stable [amd64])".
var chosen = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) .*\[(\w+)\]\)`)

// install fetches what installing the packages in an empty system would take, enters the
// versions, and returns the files.
func (a apt) install(ctx context.Context, versions map[string]string, packages []string) ([]string, error) {
	plan, err := a.run(ctx, append([]string{"install", "--simulate"}, packages...)...)
	if err != nil {
		return nil, err
	}
	// apt compares the hashes of files that are here already.
	if _, err := a.run(ctx, append([]string{"install", "--download-only"}, packages...)...); err != nil {
		return nil, err
	}
	var files []string
	for _, m := range chosen.FindAllStringSubmatch(plan, -1) {
		name, version, arch := m[1], m[2], m[3]
		versions[name] = version
		if !slices.ContainsFunc(unneeded, func(u string) bool { return strings.HasPrefix(name, u) }) {
			files = append(files, filepath.Join(a.dir, "archives", name+"_"+strings.ReplaceAll(version, ":", "%3a")+"_"+arch+".deb"))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("apt-get has chosen nothing: %q", plan)
	}
	return files, nil
}

// unpack unpacks files into a folder whose /bin, /lib, /lib64 and /sbin are in /usr, as in
// every Debian since 12.
func (r *DebianRoot) unpack(ctx context.Context, files []string) error {
	for _, d := range []string{"bin", "lib", "lib64", "sbin"} {
		err := os.MkdirAll(filepath.Join(r.Dir, "usr", d), 0o755)
		if err == nil {
			err = os.Symlink("usr/"+d, filepath.Join(r.Dir, d))
		}
		if err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(unpackAtOnce)
	for _, f := range files {
		g.Go(func() error {
			return extract(ctx, f, r.Dir)
		})
	}
	return g.Wait()
}

// extract unpacks one package. Packages of Debian 12 still have /bin and /lib as folders,
// for which dpkg-deb --extract would replace the links.
func extract(ctx context.Context, deb, dir string) error {
	from := exec.CommandContext(ctx, path("dpkg-deb"), "--fsys-tarfile", deb)
	to := exec.CommandContext(ctx, path("tar"), "-x", "-p", "--keep-directory-symlink", "-f", "-", "-C", dir)
	var said bytes.Buffer
	from.Stderr, to.Stderr = &said, &said
	var err error
	if to.Stdin, err = from.StdoutPipe(); err != nil {
		return err
	}
	if err = from.Start(); err == nil {
		err = errors.Join(to.Run(), from.Wait())
	}
	if err != nil {
		return fmt.Errorf("unpacking %s: %w\n%s", deb, err, said.Bytes())
	}
	return nil
}

// furnish makes what the scripts of Debian's base packages would: devices, /tmp, /proc as an
// empty folder, and the users root and nobody.
func (r *DebianRoot) furnish() error {
	for _, d := range []string{"dev", "etc", "proc", "run", "tmp", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(r.Dir, d), 0o755); err != nil {
			return err
		}
	}
	// The process's umask does not count for what chmod sets.
	err := errors.Join(
		os.Chmod(filepath.Join(r.Dir, "tmp"), 0o777|os.ModeSticky),
		os.Chmod(filepath.Join(r.Dir, "var/tmp"), 0o777|os.ModeSticky),
		r.AddUser("root", 0),
		r.AddUser("nobody", 65534),
	)
	for name, minor := range map[string]int{"null": 3, "zero": 5, "random": 8, "urandom": 9} {
		const major = 1 // memory devices; makedev(3)
		dev := filepath.Join(r.Dir, "dev", name)
		err = errors.Join(err, syscall.Mknod(dev, syscall.S_IFCHR|0o666, major<<8|minor), os.Chmod(dev, 0o666))
	}
	return err
}

// AddUser adds a user and a group of the same name and number.
func (r *DebianRoot) AddUser(name string, id int) error {
	return errors.Join(
		appendLine(filepath.Join(r.Dir, "etc/passwd"), fmt.Sprintf("%s:x:%d:%d::/:/bin/false", name, id, id)),
		appendLine(filepath.Join(r.Dir, "etc/group"), fmt.Sprintf("%s:x:%d:", name, id)),
	)
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}
