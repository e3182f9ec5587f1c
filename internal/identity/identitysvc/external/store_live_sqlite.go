package external

// liveSQLite is livePG where there is one writer.
const liveSQLite = `SELECT id FROM idp WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL`
