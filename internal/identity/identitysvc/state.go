package identitysvc

import "xinglin/internal/platform/state"

type accountState string

const (
	active   accountState = "active"
	disabled accountState = "disabled"
	closed   accountState = "closed" // the person was erased
)

// accounts is the life of an account.
var accounts = state.Machine[accountState]{
	Noun: "Account", Initial: active,
	Steps: []state.Step[accountState]{
		{From: active, To: disabled, By: "identity.disable_staff", Guard: "by another security administrator"},
		{From: active, To: closed, By: "identity.close_account", Guard: "a patient's"},
	},
}

type sessionState string

// sessions is the life of a session; live is ended_at IS NULL within its times.
var sessions = state.Machine[sessionState]{
	Noun: "Session", Initial: "live",
	Steps: []state.Step[sessionState]{
		{From: "live", To: "ended", By: "identity.end_session"},
		{From: "live", To: "ended", By: "identity.revoke_session"},
		{From: "live", To: "ended", By: "identity.disable_staff"},
		{From: "live", To: "ended", By: "identity.close_account"},
		{From: "live", To: "ended", By: "identity.disable_idp", Guard: "it came by that identity provider"},
		{From: "live", To: "ended", By: "identity.unlink_idp", Guard: "it came by that link"},
		{From: "live", To: "ended", By: "identity.refresh_reused", Guard: "a refresh token came a second time"},
		{From: "live", To: "ended", By: "identity.crowded_out", Guard: "the account has 50 live sessions"},
		{From: "live", To: "expired", By: "timer", Guard: "idle or absolute end"},
	},
}
