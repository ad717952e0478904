// Reads what a dashboard reads, with the real supabase-js.   node read.mjs MODULES URL KEY TOKEN
import { createRequire } from "node:module";

const [modules, url, key, token] = process.argv.slice(2);
const { createClient } = createRequire(`${modules}/`)("@supabase/supabase-js");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const client = createClient(url, key, { global: { headers }, auth: { persistSession: false, autoRefreshToken: false } });
const read = async (table) => (await client.from(table).select("agent_name,status,health").order("agent_name"));
const [rows, view] = [await read("agent_status"), await read("agent_health_latest")];
console.log(JSON.stringify({ rows: rows.data, view: view.data, error: rows.error?.code ?? null }));
process.exit(0);
