"""Commands for operators: set-up, checks, expiry, embedded servers. No request and no task runs through here."""
