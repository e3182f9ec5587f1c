package reference

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// form finds a secret in texts that have one of the words; looking for words first takes a hundredth of the time.
type form struct {
	*regexp.Regexp
	words []string
}

func (f form) find(b []byte) []int {
	for _, w := range f.words {
		if bytes.Contains(b, []byte(w)) {
			return f.FindIndex(b)
		}
	}
	return nil
}

// secretForms are what keys of services look like. The list is ours and short: it finds what somebody pastes by mistake, not
// what somebody hides (docs/adr/0027).
var secretForms = map[string]form{
	"a private key":       {regexp.MustCompile(`-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*\n?[A-Za-z0-9+/=]{40}`), []string{"PRIVATE KEY-----"}},
	"a key of AWS":        {regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`), []string{"AKIA", "ASIA"}},
	"a key of Alibaba":    {regexp.MustCompile(`\bLTAI[0-9A-Za-z]{12,26}\b`), []string{"LTAI"}},
	"a key of Tencent":    {regexp.MustCompile(`\bAKID[0-9A-Za-z]{32}\b`), []string{"AKID"}},
	"a token of GitHub":   {regexp.MustCompile(`\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{60,})\b`), []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}},
	"a token of GitLab":   {regexp.MustCompile(`\bglpat-[0-9A-Za-z_-]{20}\b`), []string{"glpat-"}},
	"a token of Slack":    {regexp.MustCompile(`\bxox[abprs]-[0-9A-Za-z-]{10,}`), []string{"xox"}},
	"a token of npm":      {regexp.MustCompile(`\bnpm_[0-9A-Za-z]{36}\b`), []string{"npm_"}},
	"a key of Google":     {regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}\b`), []string{"AIza"}},
	"a key of a model":    {regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{32,}\b`), []string{"sk-"}},
	"a signed token":      {regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{20,}`), []string{"eyJ"}},
	"a password in a URL": {regexp.MustCompile(`\b(?:postgres|postgresql|nats|redis|smtps?)://[^\s:@/"'` + "`" + `]+:[^\s@"'<>$%{.*` + "`" + `]{8,}@`), []string{"postgres://", "postgresql://", "nats://", "redis://", "smtp://", "smtps://"}},
	"a webhook of WeCom":  {regexp.MustCompile(`qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key=[0-9a-f-]{36}`), []string{"qyapi.weixin"}},
	"a webhook of Feishu": {regexp.MustCompile(`open\.feishu\.cn/open-apis/bot/v2/hook/[0-9a-f-]{36}`), []string{"open.feishu.cn"}},
	"a token of DingTalk": {regexp.MustCompile(`oapi\.dingtalk\.com/robot/send\?access_token=[0-9a-f]{64}`), []string{"oapi.dingtalk"}},
	"a secret of WeChat":  {regexp.MustCompile(`(?i)app_?secret["' :=]+[0-9a-f]{32}\b`), []string{"ecret"}},
}

// knownSecrets are found and are none: file and why.
var knownSecrets = map[string]string{
	"docs/ops/install.md":               "a word in the place of a password",
	"internal/platform/bus/bus_test.go": "a broker of the test itself",
	"internal/platform/bus/dial.go":     "an example in a comment",
}

// TestNoSecrets looks through every file of the tree that git would keep.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	files := 0
	used := map[string]bool{}
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == ".tools" || d.Name() == "bin" || d.Name() == "dist" || d.Name() == ".data" || d.Name() == "coverage"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		short := strings.TrimPrefix(filepath.ToSlash(name), "../../")
		for what, form := range secretForms {
			if at := form.find(b); at != nil {
				if _, known := knownSecrets[short]; known {
					used[short] = true
					continue
				}
				t.Errorf("%s has what looks like %s at byte %d", short, what, at[0])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range knownSecrets {
		if !used[name] {
			t.Errorf("knownSecrets has %s, in which nothing is found", name)
		}
	}
	if files < 500 {
		t.Errorf("only %d files were read", files)
	}
}

// Each form finds what it is for: put together here, so that this file has none itself.
func TestSecretForms(t *testing.T) {
	t.Parallel()
	a := strings.Repeat("A1b2", 20)
	hex := strings.Repeat("0a1b", 16)
	for what, text := range map[string]string{
		"a private key": "-----BEGIN EC PRIVATE" + " KEY-----\n" + a, "a key of AWS": "AK" + "IA" + strings.Repeat("A1B2", 4), "a key of Alibaba": "LT" + "AI" + a[:20],
		"a key of Tencent": "AK" + "ID" + a[:32], "a token of GitHub": "gh" + "p_" + a[:36], "a token of GitLab": "gl" + "pat-" + a[:20], "a token of Slack": "xo" + "xb-" + a[:12],
		"a token of npm": "np" + "m_" + a[:36], "a key of Google": "AI" + "za" + a[:35], "a key of a model": "sk" + "-" + a[:40], "a signed token": "ey" + "J" + a[:20] + ".ey" + "J" + a[:20] + "." + a[:30],
		"a password in a URL": "postgres://me" + ":" + "hunter2hunter2@host/db", "a webhook of WeCom": "qyapi.weixin.qq.com/cgi-bin/webhook/send?" + "key=" + hex[:36],
		"a webhook of Feishu": "open.feishu.cn/open-apis/bot/v2/hook/" + hex[:36], "a token of DingTalk": "oapi.dingtalk.com/robot/send?access_token=" + hex, "a secret of WeChat": "app" + "secret=" + hex[:32],
	} {
		form := secretForms[what]
		if form.Regexp == nil || form.find([]byte("x "+text+" y")) == nil {
			t.Errorf("%s is not found", what)
		}
	}
	if len(secretForms) != 16 {
		t.Errorf("%d forms: each has its example above", len(secretForms))
	}
}
