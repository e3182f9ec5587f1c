package schedulingsvc

// shareLotterySQLite needs no lock: a writing transaction is the only one.
const shareLotterySQLite = `SELECT state FROM lottery WHERE tenant_id = $1 AND id = $2`
