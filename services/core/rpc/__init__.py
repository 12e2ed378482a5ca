"""The way in and out of every service: TLS identity, server, interceptors, statuses, conversions."""
