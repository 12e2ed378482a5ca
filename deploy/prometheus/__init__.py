"""Rules and alerts for Prometheus, and a drill of them."""
