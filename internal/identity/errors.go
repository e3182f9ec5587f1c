package identity

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrCodeTooOften    = fault.Register(fault.Limited, "identity.code_too_often", "获取验证码太频繁，请稍后再试", "Too many codes asked for, try again later")
	ErrCodeWrong       = fault.Register(fault.Unauthenticated, "identity.code_wrong", "验证码不正确", "The code is not correct")
	ErrCodeExpired     = fault.Register(fault.Unauthenticated, "identity.code_expired", "验证码已失效，请重新获取", "The code is no longer valid, ask for a new one")
	ErrPhone           = fault.Register(fault.Invalid, "identity.phone_invalid", "请输入正确的手机号", "Enter a correct mobile number")
	ErrLoginWrong      = fault.Register(fault.Unauthenticated, "identity.login_wrong", "用户名、密码或动态码不正确", "User name, password or code is not correct")
	ErrLocked          = fault.Register(fault.Limited, "identity.locked", "尝试次数过多，请15分钟后再试", "Too many tries, come back in 15 minutes")
	ErrSession         = fault.Register(fault.Unauthenticated, "identity.session_ended", "登录已失效，请重新登录", "The session has ended, sign in again")
	ErrRefreshReused   = fault.Register(fault.Unauthenticated, "identity.refresh_reused", "令牌已被使用，请重新登录", "The refresh token was used before; sign in again")
	ErrNotFound        = fault.Register(fault.NotFound, "identity.not_found", "没有这个账号", "There is no such account")
	ErrUsernameTaken   = fault.Register(fault.Conflict, "identity.username_taken", "用户名已被使用", "The user name is taken")
	ErrExclusive       = fault.Register(fault.Invalid, "identity.roles_exclusive", "系统、安全、审计管理员不能由同一人担任", "System, security and audit administrator exclude each other")
	ErrAdminAlone      = fault.Register(fault.Invalid, "identity.administrator_alone", "管理员不能兼任其他岗位", "An administrator has no other role")
	ErrPasswordWeak    = fault.Register(fault.Invalid, "identity.password_weak", "密码至少12位且不能是常见密码", "The password needs at least 12 characters and must not be a common one")
	ErrInvalid         = fault.Register(fault.Invalid, "identity.invalid", "账号信息不正确", "The account's data is not correct")
	ErrStale           = fault.Register(fault.Stale, "identity.stale", "内容已被他人修改，请刷新", "Somebody else has changed it, reload")
	ErrOwnGrants       = fault.Register(fault.Forbidden, "identity.own_grants", "不能修改自己的权限", "Nobody changes their own rights")
	ErrBusy            = fault.Register(fault.Unavailable, "identity.busy", "登录人数较多，请稍后再试", "Many people are signing in, try again")
	ErrDisabled        = fault.Register(fault.Forbidden, "identity.disabled", "账号已停用，请联系医院", "The account is disabled, ask the hospital")
	ErrAddressTooOften = fault.Register(fault.Limited, "identity.address_too_often", "当前网络获取验证码太频繁，请稍后再试", "Too many codes asked for from this network, try again later")
	ErrClient          = fault.Register(fault.Invalid, "identity.client_invalid", "应用信息不正确", "The client's data is not correct")
	ErrClientNotFound  = fault.Register(fault.NotFound, "identity.client_not_found", "没有这个应用", "There is no such client")
	ErrClientPublic    = fault.Register(fault.Conflict, "identity.client_has_no_secret", "公开应用没有密钥", "A public client has no secret")
	ErrClientDisabled  = fault.Register(fault.Conflict, "identity.client_disabled", "应用已停用", "The client is disabled")
	ErrTooManyClients  = fault.Register(fault.Conflict, "identity.too_many_clients", "应用数量已达上限", "The tenant has as many clients as it may have")
	ErrKeyTooSoon      = fault.Register(fault.Conflict, "identity.key_waits", "新的签名密钥已公布，尚未启用", "A new signing key is published and does not sign yet")
	ErrConsentNotFound = fault.Register(fault.NotFound, "identity.consent_not_found", "没有这项授权", "There is no such consent")
	ErrDeviceTries     = fault.Register(fault.Limited, "identity.device_tries", "尝试次数过多，请15分钟后再试", "Too many tries, come back in 15 minutes")
)
