// Reads what a dashboard reads, with the real supabase-js.   node read.mjs MODULES URL KEY TOKEN TABLE …
import { createRequire } from "node:module";

const [modules, url, key, token, ...tables] = process.argv.slice(2);
const { createClient } = createRequire(`${modules}/`)("@supabase/supabase-js");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const client = createClient(url, key, { global: { headers }, auth: { persistSession: false, autoRefreshToken: false } });
const read = async (table) => {
  const { data, error } = await client.from(table).select("agent_name,status,health").order("agent_name");
  return [table, error?.code ?? data];
};
console.log(JSON.stringify(Object.fromEntries(await Promise.all(tables.map(read)))));
process.exit(0);
