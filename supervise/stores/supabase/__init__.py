"""The replica: the rows, events and samples of the local store, copied to Supabase by a thread that nobody waits for.

Nothing here is imported where no Supabase is configured, and the client's own library only by that thread.
"""
