package db

// Renewing is for the test of renewed certificates.
var Renewing = renewing
