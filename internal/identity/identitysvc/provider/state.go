package provider

import "xinglin/internal/platform/state"

type clientState string

// clientLife is the life of a client.
var clientLife = state.Machine[clientState]{
	Noun: "Client", Initial: "active",
	Steps: []state.Step[clientState]{
		{From: "active", To: "disabled", By: "identity.disable_client"},
	},
}

type deviceState string

// deviceLife is the life of a device's login; what is not used in ten minutes is over.
var deviceLife = state.Machine[deviceState]{
	Noun: "DeviceLogin", Initial: "pending",
	Steps: []state.Step[deviceState]{
		{From: "pending", To: "approved", By: "identity.decide_device", Guard: "the person agrees"},
		{From: "pending", To: "denied", By: "identity.decide_device", Guard: "the person does not agree"},
		{From: "approved", To: "used", By: "identity.issue_token", Guard: "once"},
	},
}

type grantState string

// grantLife is the life of a client's grant; live is ended_at IS NULL within its time, its client, account and session.
var grantLife = state.Machine[grantState]{
	Noun: "ClientGrant", Initial: "live",
	Steps: []state.Step[grantState]{
		{From: "live", To: "ended", By: "identity.revoke_token"},
		{From: "live", To: "ended", By: "identity.token_misused", Guard: "a code or refresh token came twice, or with a wrong proof"},
		{From: "live", To: "ended", By: "identity.session_ended", Guard: "no offline_access, or all sessions ended"},
		{From: "live", To: "ended", By: "identity.withdraw_consent"},
		{From: "live", To: "ended", By: "identity.update_client", Guard: "the client may do less than before"},
		{From: "live", To: "ended", By: "identity.disable_client"},
	},
}

// Machines are the provider's, for the reference.
var Machines = []state.Diagram{clientLife, grantLife, deviceLife}
