"""The guided tour: a real house, a real client, and nothing staged."""
