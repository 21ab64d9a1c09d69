const { Client } = require('pg')

async function main() {
  const user = 'u_42'
  const client = new Client({ connectionString: process.env.DATABASE_URL })
  await client.connect()
  EXAMPLE
  await client.end()
}

main()
