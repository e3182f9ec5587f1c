package booking

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux that we know.
const tick = 10 * time.Millisecond

// procStat reads /proc/PID/stat: the parent and the CPU time, that of ended children
// apart. A process that has gone, or a system without /proc, has neither.
func procStat(pid int) (parent int, own, children time.Duration) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0
	}
	return parseStat(string(b))
}

func parseStat(text string) (parent int, own, children time.Duration) {
	i := strings.LastIndex(text, ") ") // the name before it may hold anything
	f := strings.Fields(text[i+1:])
	if i < 0 || len(f) < 15 {
		return 0, 0, 0
	}
	n := func(i int) int64 { v, _ := strconv.ParseInt(f[i], 10, 64); return v }
	return int(n(1)), time.Duration(n(11)+n(12)) * tick, time.Duration(n(13)+n(14)) * tick
}

// cpu is the time that a process has used.
func cpu(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	_, own, _ := procStat(pid)
	return own
}

// cpuTree is the time of a process and all its children, ended ones too: a PostgreSQL.
func cpuTree(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	_, own, ended := procStat(pid)
	sum := own + ended
	for _, child := range childrenOf(pid) {
		sum += cpu(child)
	}
	return sum
}

func childrenOf(pid int) (out []int) {
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, name := range names {
		p, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if parent, _, _ := procStat(p); parent == pid {
			out = append(out, p)
		}
	}
	return out
}

// resident is the memory of a process in bytes.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// Machine is where the figures come from.
type Machine struct {
	OS         string `json:"os"`
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Memory     string `json:"memory"`
	Go         string `json:"go"`
	PostgreSQL string `json:"postgresql,omitempty"`
	SQLite     string `json:"sqlite,omitempty"`
	Redis      string `json:"redis,omitempty"`
}

func thisMachine() Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.CPU = fieldOf("/proc/cpuinfo", "model name")
	m.Memory = fieldOf("/proc/meminfo", "MemTotal")
	if v, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.OS += " " + strings.TrimSpace(string(v))
	}
	return m
}

// fieldOf is the first "name : value" of a file in /proc.
func fieldOf(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
