package patientsvc

import "xinglin/internal/platform/state"

type linkState string

// The states of a link.
const (
	linkActive linkState = "active"
	linkEnded  linkState = "ended"
)

// links is the life of a link. An ended one stays; the same account gets a new one by a new proof.
var links = state.Machine[linkState]{
	Noun: "Link", Initial: linkActive,
	Steps: []state.Step[linkState]{
		{From: linkActive, To: linkEnded, By: "patient.unlink"},
		{From: linkActive, To: linkEnded, By: "patient.shred"},
	},
}

type claimState string

// The states of a claim.
const (
	claimOpen   claimState = "open"
	claimProved claimState = "proved"
	claimFailed claimState = "failed"
	claimEnded  claimState = "ended"
)

// claims is the life of a claim; an open one whose time is over proves nothing.
var claims = state.Machine[claimState]{
	Noun: "Claim", Initial: claimOpen,
	Steps: []state.Step[claimState]{
		{From: claimOpen, To: claimProved, By: "patient.prove", Guard: "the code is right, in time"},
		{From: claimOpen, To: claimProved, By: "patient.prove_at_desk", Guard: "the name was entered right, in time"},
		{From: claimOpen, To: claimFailed, By: "patient.prove", Guard: "the fifth wrong code"},
		{From: claimOpen, To: claimEnded, By: "patient.add", Guard: "the same account enters the person again"},
		{From: claimOpen, To: claimEnded, By: "patient.shred"},
	},
}
