package external

// livePG holds the provider as it is until the transaction ends: logins beside each other do not wait, who disables it does.
const livePG = `SELECT id FROM idp WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL FOR SHARE`
