"""What operators run: provisioning, checks, expiry, embedded servers. No request and no task runs through here."""
