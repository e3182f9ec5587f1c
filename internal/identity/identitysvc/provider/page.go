package provider

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/url"
	"slices"
	"strings"

	"xinglin/internal/identity"
)

// The pages of the provider are plain HTML from here: no script, no store in the browser, and nothing of another origin.

//go:embed page.html style.css
var pageFiles embed.FS

var (
	style     = mustRead("style.css")
	styleHash = func() string {
		h := sha256.Sum256([]byte(style))
		return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
	}()
	pages = template.Must(template.New("page").Parse(mustRead("page.html")))
)

func mustRead(name string) string {
	b, err := pageFiles.ReadFile(name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return string(b)
}

// view is what a page shows.
type view struct {
	Lang  string
	W     map[string]string // words
	Style template.CSS
	Kind  string // choose, consent, device, confirm, logout, done

	Title  string
	Text   string
	Client string
	Who    string   // the sort of account
	Asks   []string // what the client may know, in words
	Links  []link
	Action string
	Fields []field
	Code   string // typed
	Wrong  bool
	Rows   []row  // consents
	More   string // address of the page of consents
}

// row is a consent on the page that lists them.
type row struct {
	Client, Name, Given string
	Asks                []string
}

type link struct{ Words, To string }

type field struct{ Name, Value string }

// sourcesOf is what the page loads; its forms go here and, by the answer, to the client.
func sourcesOf(next string) string {
	to := ""
	if u, err := url.Parse(next); err == nil && next != "" {
		to = " " + u.Scheme + ":"
		if u.Host != "" {
			to = " " + u.Scheme + "://" + u.Host
		}
	}
	return "style-src " + styleHash + "; form-action 'self'" + to
}

// language is zh unless the browser, or the client, prefers English.
func language(uiLocales, accept string) string {
	for _, list := range []string{uiLocales, strings.ReplaceAll(accept, ",", " ")} {
		for _, one := range strings.Fields(list) {
			one, _, _ = strings.Cut(strings.ToLower(one), ";")
			switch {
			case strings.HasPrefix(one, "zh"):
				return "zh"
			case strings.HasPrefix(one, "en"):
				return "en"
			}
		}
	}
	return "zh"
}

// words of the pages.
var words = map[string]map[string]string{
	"zh": {
		"hospital": "互联网医院统一登录", "patient": "患者登录", "staff": "工作人员登录", "choose": "请选择登录方式", "chooseText": "“%s”需要您登录本院账号。",
		"consent": "授权登录", "consentText": "“%s”申请使用您在本院的账号登录，并获得以下信息：", "yes": "同意", "no": "不同意",
		"consentNote": "该应用只能得到上面列出的信息，看不到您的密码和验证码。您可以随时撤回授权：", "consents": "我的授权",
		"consentsText": "以下应用可以用您在本院的账号登录。撤回后，该应用立即失去访问权限。", "noConsents": "您没有授权任何应用。", "withdraw": "撤回授权", "since": "授权时间：",
		"openid": "确认您的身份（仅供该应用使用的编号）", "profile": "您的姓名和用户名（仅工作人员）", "phone": "您的手机号码", "roles": "您的岗位角色（仅工作人员）",
		"offline_access": "在您退出登录后继续使用授权（最长90天）", "other": "访问范围：",
		"asPatient": "当前登录：患者账号", "asStaff": "当前登录：工作人员账号",
		"device": "登录设备", "deviceText": "请输入设备屏幕上显示的代码。", "deviceCode": "代码", "next": "下一步", "deviceWrong": "代码不正确或已过期，请核对设备屏幕。",
		"confirm": "确认登录设备", "confirmText": "“%s”的一台设备申请用您的账号登录。只有当您面前的设备显示以下代码时才能同意：",
		"logout": "退出登录", "logoutText": "“%s”请求退出您在本院的登录。", "logoutHere": "要退出您在本院的登录吗？", "leave": "退出", "stay": "不退出",
		"left": "已退出登录", "leftText": "您可以关闭此页面。", "kept": "仍保持登录", "keptText": "您没有退出。可以关闭此页面。",
		"approved": "设备已登录", "approvedText": "请回到设备继续。", "denied": "已拒绝", "deniedText": "该设备没有登录。",
		"wrong": "无法继续登录", "ended": "登录请求已过期或已完成，请回到原来的应用重新开始。", "refused": "应用的登录请求不正确，已被拒绝。请联系该应用的管理员。",
		"tries": "尝试次数过多，请15分钟后再试。", "reason": "原因：",
	},
	"en": {
		"hospital": "Hospital sign-in", "patient": "Sign in as a patient", "staff": "Sign in as staff", "choose": "How do you sign in?", "chooseText": "“%s” asks you to sign in with your account here.",
		"consent": "Allow sign-in", "consentText": "“%s” wants to sign you in with your account of this hospital, and to know:", "yes": "Allow", "no": "Do not allow",
		"consentNote": "It learns what is listed and nothing else; it never sees your password or codes. You can take this back at any time:", "consents": "What I allowed",
		"consentsText": "These applications may sign you in with your account here. What you take back they lose at once.", "noConsents": "You allowed nothing to any application.", "withdraw": "Take it back", "since": "Allowed on ",
		"openid": "Who you are (a number that only this application knows)", "profile": "Your name and user name (staff only)", "phone": "Your mobile number", "roles": "Your roles (staff only)",
		"offline_access": "To go on after you have signed out (90 days at most)", "other": "Access to: ",
		"asPatient": "Signed in with a patient's account", "asStaff": "Signed in with an account of staff",
		"device": "Sign a device in", "deviceText": "Type the code that the device shows.", "deviceCode": "Code", "next": "Next", "deviceWrong": "The code is not correct or has expired. Look at the device again.",
		"confirm": "Sign this device in?", "confirmText": "A device of “%s” wants to sign in with your account. Allow it only when the device before you shows this code:",
		"logout": "Sign out", "logoutText": "“%s” asks to sign you out here.", "logoutHere": "Do you want to sign out here?", "leave": "Sign out", "stay": "Stay",
		"left": "Signed out", "leftText": "You can close this page.", "kept": "Still signed in", "keptText": "You did not sign out. You can close this page.",
		"approved": "The device is signed in", "approvedText": "Go on at the device.", "denied": "Not allowed", "deniedText": "The device is not signed in.",
		"wrong": "This sign-in cannot go on", "ended": "The request has ended or was answered before. Go back to the application and begin again.", "refused": "The application's request is not correct and was refused. Tell its administrator.",
		"tries": "Too many tries. Come back in 15 minutes.", "reason": "Reason: ",
	},
}

// newView begins a page; say fills the client's name into a word.
func newView(lang, kind, title string) view {
	return view{Lang: lang, W: words[lang], Style: template.CSS(style), Kind: kind, Title: words[lang][title]}
}

func (v *view) say(word string, c identity.Client) {
	v.Client = c.Name
	if v.Lang == "en" {
		v.Client = c.NameEN
	}
	v.Text = strings.ReplaceAll(v.W[word], "%s", v.Client)
}

// asksOf are scopes in words; what a hospital named itself is shown as it is.
func (v *view) asksOf(scopes []string) (out []string) {
	for _, x := range scopes {
		if slices.Contains(ofPeople, x) {
			out = append(out, v.W[x])
		} else {
			out = append(out, v.W["other"]+x)
		}
	}
	return out
}

// entrance is the login page of an application with the way back here; only addresses of ours go in.
func entrance(app, next string) string { return "/" + app + "/login?next=" + url.QueryEscape(next) }
